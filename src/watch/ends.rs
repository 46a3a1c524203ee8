//! Ends of sessions that a worker writes down instead of telling them: a supervisor that is woken
//! for each would spend more on waking than on all else. It looks here whenever something else
//! wakes it. Where it has to know at once, it says so, and is told.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// Ends that can be written down until the supervisor looks.
const ROOM: u32 = 64;

/// Written by one worker, read by the supervisor; each counts what it has written or read.
#[repr(C)]
pub(super) struct Ends {
    /// Not 0: each end is to be told.
    tell: AtomicU32,
    written: AtomicU32,
    read: AtomicU32,
    list: [AtomicU64; ROOM as usize],
}

impl Ends {
    pub(super) fn none() -> Ends {
        Ends {
            tell: AtomicU32::new(0),
            written: AtomicU32::new(0),
            read: AtomicU32::new(0),
            list: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// The worker's side. Whether that is enough: else it is to be told, once more perhaps.
    pub(super) fn write(&self, session: u64) -> bool {
        let written = self.written.load(Ordering::Relaxed);
        let waiting = written.wrapping_sub(self.read.load(Ordering::Acquire));
        if self.tell.load(Ordering::Relaxed) != 0 || waiting >= ROOM {
            return false;
        }
        self.place(written).store(session, Ordering::Relaxed);
        self.written
            .store(written.wrapping_add(1), Ordering::Release);
        // Either this sees that it is to tell, or the supervisor, which looks after it has said
        // so, sees what was written.
        fence(Ordering::SeqCst);
        self.tell.load(Ordering::Relaxed) == 0
    }

    /// The supervisor's side: the next one that it has not seen.
    pub(super) fn read(&self) -> Option<u64> {
        let read = self.read.load(Ordering::Relaxed);
        if self.written.load(Ordering::Acquire) == read {
            return None;
        }
        let session = self.place(read).load(Ordering::Relaxed);
        self.read.store(read.wrapping_add(1), Ordering::Release);
        Some(session)
    }

    /// From now on each end is told, or none. Those written before are to be read after this.
    pub(super) fn tell(&self, all: bool) {
        self.tell.store(all.into(), Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    fn place(&self, count: u32) -> &AtomicU64 {
        &self.list[(count % ROOM) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_read_once_and_in_order() {
        let ends = Ends::none();
        assert_eq!(ends.read(), None);
        for round in 0..100 {
            assert!(ends.write(2 * round) && ends.write(2 * round + 1));
            let read = [ends.read(), ends.read(), ends.read()];
            assert_eq!(read, [Some(2 * round), Some(2 * round + 1), None]);
        }
    }

    #[test]
    fn what_has_no_room_is_told() {
        let ends = Ends::none();
        for session in 0..u64::from(ROOM) {
            assert!(ends.write(session));
        }
        assert!(!ends.write(1000));
        assert_eq!(ends.read(), Some(0));
        assert!(ends.write(1001));
    }

    #[test]
    fn a_supervisor_that_has_to_know_is_told() {
        let ends = Ends::none();
        assert!(ends.write(1));
        ends.tell(true);
        assert!(!ends.write(2));
        ends.tell(false);
        assert!(ends.write(3));
        let read = [ends.read(), ends.read(), ends.read()];
        assert_eq!(read, [Some(1), Some(3), None]);
    }

    #[test]
    fn no_end_is_lost_while_both_sides_work() {
        let ends = Ends::none();
        let told = std::sync::Mutex::new(Vec::new());
        let mut seen = Vec::new();
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| {
                for session in 1..=20_000 {
                    if !ends.write(session) {
                        told.lock().unwrap().push(session);
                    }
                }
            });
            let mut turn = false;
            while !worker.is_finished() {
                turn = !turn;
                ends.tell(turn);
                seen.extend(std::iter::from_fn(|| ends.read()));
            }
        });
        seen.extend(std::iter::from_fn(|| ends.read()));
        seen.extend(told.into_inner().unwrap());
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, (1..=20_000).collect::<Vec<u64>>());
    }
}
