//! The number that a session is known by to people and plugins: `$$` of its Perl code, the first word
//! of its lines in the log, and what `camelpost status` shows. Supervisor and workers count sessions
//! from 1 on, without an end; this is made of that count.

#![forbid(unsafe_code)]

/// The largest number that the kernel gives to a process (PID_MAX_LIMIT). Session numbers are above
/// it: a plugin that sends a signal to `$$` hits nobody.
const LARGEST_PID: u64 = 1 << 22;

/// The largest number that a process could have by its type. One above it is negative where kill(2)
/// takes it, and would mean a process group; so numbers begin anew after it.
const LARGEST: u64 = i32::MAX as u64;

/// While an upgrade is under way both processes accept clients; the new one counts on so far ahead
/// that the old one does not get there before it lets go.
const FOR_THE_PREDECESSOR: u64 = 1 << 20;

/// The number of a session; the same comes again after two thousand million others.
pub(super) fn of_session(session: u64) -> u32 {
    let numbers = LARGEST - LARGEST_PID;
    let number = LARGEST_PID + 1 + session.saturating_sub(1) % numbers;
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Where the process that replaces this one begins to count.
pub(super) fn for_successor(next_session: u64) -> u64 {
    next_session.saturating_add(FOR_THE_PREDECESSOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_no_process_and_no_group_and_the_next_is_another() {
        let all = LARGEST - LARGEST_PID;
        for session in [1, 2, 1 << 21, all - 1, all, all + 1, u64::MAX - 1] {
            let number = u64::from(of_session(session));
            assert!(number > LARGEST_PID && number <= LARGEST, "{session}");
            assert_ne!(of_session(session), of_session(session + 1));
        }
        assert_eq!(of_session(1), 4_194_305);
        assert_eq!(of_session(all), 2_147_483_647);
        assert_eq!(of_session(all + 1), 4_194_305);
    }
}
