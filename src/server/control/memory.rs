//! The memory of the workers, as the kernel counts it without walking their page tables: asking
//! is cheap and waits for nothing that a worker holds.

#![forbid(unsafe_code)]

use super::status::WorkerStatus;

/// Files read before others get their turn.
const AT_A_TIME: usize = 16;

/// Fills in what each worker has resident.
pub(super) async fn fill_in(workers: &mut [WorkerStatus]) {
    let page = rustix::param::page_size() as u64;
    for some in workers.chunks_mut(AT_A_TIME) {
        for worker in some {
            let text = std::fs::read_to_string(format!("/proc/{}/statm", worker.pid));
            worker.resident_bytes = text.ok().and_then(|text| resident(&text, page));
        }
        tokio::task::yield_now().await;
    }
}

/// The second number, in pages.
fn resident(statm: &str, page: u64) -> Option<u64> {
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages.saturating_mul(page))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_is_the_second_number_in_pages() {
        assert_eq!(resident("100 25 10 1 0 20 0\n", 4096), Some(102_400));
        assert_eq!(resident("", 4096), None);
    }
}
