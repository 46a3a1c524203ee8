//! Which limits hold here that qpsmtpd does not have. It has those for a message's size and for a line's time only.

use super::dir::ConfigDir;
use super::effective::effective;

/// Those of Camelpost's settings.
const OWN: &[&str] = &[
    "auth_failure_limit",
    "command_limit",
    "data_min_rate",
    "envelope_size_limit",
    "error_limit",
    "greeting_timeout",
    "header_line_limit",
    "header_size_limit",
    "junk_command_limit",
    "recipient_limit",
    "session_timeout",
];

/// One line about them; none where none holds. `by_address`: no plugin decides about connections before they are
/// counted.
pub fn own_limits(dir: &ConfigDir, by_address: bool) -> Option<String> {
    let mut limits: Vec<String> = Vec::new();
    if by_address {
        limits.push(
            "connections from one address (--max-from-ip, 5 where it is not given)".to_owned(),
        );
    }
    for setting in effective(dir) {
        if let (true, Some(value)) = (OWN.contains(&setting.name), setting.values.first())
            && value.text != "no limit"
        {
            limits.push(format!("{} {}", setting.name, value.text));
        }
    }
    (!limits.is_empty()).then(|| {
        format!(
            "these limits hold, and qpsmtpd has none of them: {}; 0 in the file of that name, or behind that option, \
             is no limit",
            limits.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_are_turned_off_are_not_told_of() {
        let dir = tempfile::tempdir().unwrap();
        let config = ConfigDir::new(vec![dir.path().to_path_buf()]);
        let all = own_limits(&config, true).unwrap();
        for name in OWN {
            assert!(all.contains(name), "{name} in {all}");
            std::fs::write(dir.path().join(name), "0\n").unwrap();
        }
        assert!(all.contains("--max-from-ip"), "{all}");
        assert_eq!(own_limits(&config, false), None);
    }
}
