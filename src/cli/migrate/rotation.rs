//! The old server's rotation of logs where it restarts that server: the commands that put a reload of Camelpost in its place, and the
//! file as it was back again. Does none of it.

use std::ops::Range;
use std::path::Path;

use super::report::quoted;
use super::switch::{Machine, Ways, word};

/// What starts the old server again, or anew.
const VERBS: [&str; 6] = [
    "restart",
    "try-restart",
    "condrestart",
    "force-reload",
    "reload-or-restart",
    "start",
];

impl Machine<'_> {
    /// Rotation that restarts the old server would start it again.
    pub(super) fn logrotate(&self, ways: &mut Ways, name: &str, reload: &str) {
        let file = format!("/etc/logrotate.d/{name}");
        // logrotate reads no name that ends so, and dpkg makes none.
        let kept = format!("{file}.before-camelpost~");
        let text = self.root.text(Path::new(&file)).unwrap_or_default();
        let change = change(&text, name, reload);
        let is_switched = text.contains(reload);
        let (own, own_kept) = (word(Path::new(&file)), word(Path::new(&kept)));
        if change.has_any() {
            ways.switch(&format!(
                "# {file} restarts the old server each time, which would start it again:"
            ));
            // Once more it would keep what is not the old one.
            let reload = quoted(&[reload.to_owned()]);
            ways.switch(&format!("grep -q {reload} {own} || cp -a {own} {own_kept}"));
        }
        if !change.seds.is_empty() {
            let seds = change.seds.iter().map(|sed| format!(" -e {sed}"));
            ways.switch(&format!("sed -i{} {own}", seds.collect::<String>()));
        }
        if change.is_left {
            ways.switch(&format!(
                "# and what restarts it there in a way that no sed is printed for: write {reload} there in its place"
            ));
        }
        // Somebody has switched before.
        if is_switched && !self.has(&kept) {
            ways.back(&format!(
                "# {file} has {reload}, and nobody has kept what it was before: write a restart of {name} there in its place"
            ));
        } else if is_switched || change.has_any() {
            ways.back(&format!("mv {own_kept} {own}"));
        }
    }
}

/// What becomes of a file.
#[derive(Debug, Default, PartialEq, Eq)]
struct Change {
    /// sed's commands, as words of a shell's.
    seds: Vec<String>,
    /// Whether something restarts the old server still.
    is_left: bool,
}

impl Change {
    fn has_any(&self) -> bool {
        self.is_left || !self.seds.is_empty()
    }
}

fn change(text: &str, name: &str, reload: &str) -> Change {
    let ranges = lines(text).flat_map(|line| {
        restarts(line, name)
            .into_iter()
            .filter_map(|range| line.get(range))
    });
    let mut commands: Vec<&str> = ranges.collect();
    // The longer one first: it may have another in it.
    commands.sort_by(|one, other| (other.len(), one).cmp(&(one.len(), other)));
    commands.dedup();
    let by_sed = |line: &str| {
        let all = commands.iter();
        all.fold(line.to_owned(), |line, restart| {
            line.replace(restart, reload)
        })
    };
    // sed knows no words.
    let by_words = |line: &str| {
        let mut whole = line.to_owned();
        restarts(line, name)
            .into_iter()
            .rev()
            .for_each(|range| whole.replace_range(range, reload));
        whole
    };
    if lines(text).any(|line| by_sed(line) != by_words(line)) {
        return Change {
            is_left: true,
            ..Change::default()
        };
    }
    let joined = text.replace("\\\n", " ");
    let is_left = lines(&joined).map(by_sed).any(|line| {
        let mut words = words(&line).into_iter();
        let is_verb =
            |range: Range<usize>| line.get(range).is_some_and(|word| VERBS.contains(&word));
        line.contains(name) && words.any(is_verb)
    });
    let seds = commands.iter();
    Change {
        seds: seds.map(|restart| substitution(restart, reload)).collect(),
        is_left,
    }
}

/// Lines that are no comment.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines();
    lines.filter(|line| !line.trim_start().starts_with('#'))
}

/// Where a shell's words are.
pub(super) fn words(line: &str) -> Vec<Range<usize>> {
    let is_end = |c: char| c.is_ascii_whitespace() || ";&|(){}<>`\"'".contains(c);
    let mut at = 0;
    let words = line.split(is_end).map(|word| {
        let word = at..at + word.len();
        at = word.end + 1;
        word
    });
    words.filter(|word| !word.is_empty()).collect()
}

/// Where the commands are that restart the service of that name, each with the path of its program.
fn restarts(line: &str, name: &str) -> Vec<Range<usize>> {
    let words = words(line);
    let word = |at: usize| words.get(at).and_then(|word| line.get(word.clone()));
    let is_verb = |at: usize| word(at).is_some_and(|word| VERBS.contains(&word));
    let is_name = |at: usize| word(at).is_some_and(|word| word == name);
    let is_unit = |at: usize| {
        let unit = word(at).map(|word| word.strip_suffix(".service").unwrap_or(word));
        unit == Some(name)
    };
    let behind_options = |mut at: usize| {
        while word(at).is_some_and(|word| word.starts_with('-')) {
            at += 1;
        }
        at
    };
    // What stands behind it is another unit's name.
    let is_last = |at: usize| {
        let begins = words.get(at + 1).map(|next| next.start);
        let ends = words.get(at).map(|last| last.end);
        let between = ends.and_then(|ends| line.get(ends..begins.unwrap_or(line.len())));
        let is_number =
            word(at + 1).is_some_and(|next| next.bytes().all(|byte| byte.is_ascii_digit()));
        begins.is_none() || is_number || between.is_some_and(|between| !between.trim().is_empty())
    };
    let last = |first: usize| {
        let path = Path::new(word(first)?);
        let program = path.file_name()?.to_str()?;
        let is_script = path.parent().is_some_and(|dir| dir.ends_with("init.d")) && program == name;
        let at = behind_options(first + 1);
        match program {
            _ if is_script && is_verb(first + 1) => Some(first + 1),
            "invoke-rc.d" | "service" | "rc-service" if is_name(at) && is_verb(at + 1) => {
                Some(at + 1)
            }
            "systemctl" if is_verb(at) => {
                let at = behind_options(at + 1);
                (is_unit(at) && is_last(at)).then_some(at)
            }
            _ => None,
        }
    };
    let found = (0..words.len()).filter_map(|first| {
        let range = words.get(first)?.start..words.get(last(first)?)?.end;
        // A tab in a command would not be pasted, and what is no space ends a command.
        let between = words.get(first..=last(first)?)?.windows(2);
        let mut between = between.map(|two| line.get(two[0].end..two[1].start));
        between
            .all(|between| between.is_some_and(|text| text.bytes().all(|byte| byte == b' ')))
            .then_some(range)
    });
    found.collect()
}

/// sed's command for that, as a word of a shell's.
fn substitution(before: &str, after: &str) -> String {
    let escaped = |text: &str, special: &str| {
        let mut escaped = String::new();
        for c in text.chars() {
            if special.contains(c) {
                escaped.push('\\');
            }
            escaped.push(c);
        }
        escaped
    };
    // A dot is one, too.
    let (before, after) = (escaped(before, r"\[*^$|"), escaped(after, r"\&|"));
    quoted(&[format!("s|{before}|{after}|g")])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Change {
        change(text, "qpsmtpd", "systemctl reload camelpost")
    }

    #[test]
    fn what_sed_puts_in_its_place_is_what_was_meant() {
        assert_eq!(
            substitution("/etc/init.d/a*b|c restart", "x & y's"),
            r"'s|/etc/init.d/a\*b\|c restart|x \& y'\''s|g'"
        );
    }

    #[test]
    fn each_restart_is_replaced_with_the_path_of_its_program() {
        let idiom = "if [ -x /usr/sbin/invoke-rc.d ]; then invoke-rc.d --quiet qpsmtpd restart >/dev/null; \
                     else /etc/init.d/qpsmtpd restart; fi || systemctl restart qpsmtpd.service 2>&1\n\
                     /usr/sbin/service qpsmtpd restart\n# service qpsmtpd restart\n";
        let expected = [
            "/usr/sbin/service qpsmtpd restart",
            "systemctl restart qpsmtpd.service",
            "invoke-rc.d --quiet qpsmtpd restart",
            "/etc/init.d/qpsmtpd restart",
        ];
        let change = of(idiom);
        let mut expected = expected.map(|text| substitution(text, "systemctl reload camelpost"));
        let mut seds = change.seds.clone();
        expected.sort();
        seds.sort();
        assert_eq!(seds, expected);
        assert!(!change.is_left);
    }

    #[test]
    fn what_is_another_s_or_in_no_known_form_is_left_and_told_of() {
        for text in [
            "systemctl restart qpsmtpd@25",
            "systemctl restart qpsmtpd rsyslog",
            "systemctl restart qpsmtpd; myservice qpsmtpd restart",
            "service qpsmtpd restart; myservice qpsmtpd restart",
            "service qpsmtpd \\\n  restart",
            "service\tqpsmtpd\trestart",
            "/usr/local/bin/qpsmtpd.sh restart",
        ] {
            assert!(of(text).is_left, "{text}");
        }
        for text in [
            "/var/log/qpsmtpd/*.log {\n}\n",
            "# service qpsmtpd restart",
            "service rsyslog restart",
            "systemctl reload camelpost",
            "[ -x /etc/init.d/qpsmtpd ] && service rsyslog rotate",
        ] {
            assert_eq!(of(text), Change::default(), "{text}");
        }
    }
}
