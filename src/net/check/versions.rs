//! Which version of qpsmtpd plugins were written for: by files that are one version's, by names that one version has,
//! and by what they call. Camelpost has what either version has, under both; how it is done is `compat`'s to say.

use crate::base::finding::Finding;
use crate::config::{Profile, compared_version};
use crate::plugin::Registry;

use super::known_plugins::only_in;
use super::source::{Named, has_word};

/// What one version alone has, as code has it.
const ALONE: &[(&str, Profile)] = &[
    ("get_qmail_config", Profile::V094),
    ("clear_config_cache", Profile::V094),
    ("init_resolver", Profile::V094),
    ("Qpsmtpd::Plugin::Async", Profile::V094),
    ("Qpsmtpd::PollServer", Profile::V094),
    ("Danga::Socket", Profile::V094),
    ("data_post_headers", Profile::V100),
    ("hook_data_post_headers", Profile::V100),
    ("hook_user_config", Profile::V100),
    ("user_config", Profile::V100),
    ("get_resolver", Profile::V100),
    ("get_async_resolver", Profile::V100),
    ("resolve_a", Profile::V100),
    ("resolve_aaaa", Profile::V100),
    ("resolve_mx", Profile::V100),
    ("resolve_ns", Profile::V100),
    ("resolve_ptr", Profile::V100),
    ("is_valid_ip", Profile::V100),
    ("is_ipv6", Profile::V100),
    ("is_localhost", Profile::V100),
    ("db_args", Profile::V100),
    ("validate_db_args", Profile::V100),
    ("Qpsmtpd::Base", Profile::V100),
    ("Qpsmtpd::Config", Profile::V100),
    ("Qpsmtpd::DB", Profile::V100),
    ("$rcpt->config", Profile::V100),
    ("$recipient->config", Profile::V100),
    ("$sender->config", Profile::V100),
];

/// Something that one version alone has, in a plugin's file.
pub(super) struct Use {
    pub(super) line: usize,
    pub(super) what: &'static str,
    pub(super) of: Profile,
}

/// What a file has of one version alone, each at its first place.
pub(super) fn uses(code: &[(usize, String)]) -> Vec<Use> {
    let is_own = |what: &str| {
        let defines = |line: &String| {
            let sub = line.trim_start().strip_prefix("sub ");
            sub.is_some_and(|rest| {
                !rest.starts_with("hook_") && rest.split(['(', ' ', '{']).next() == Some(what)
            })
        };
        code.iter().any(|(_, line)| defines(line))
    };
    let found = ALONE.iter().filter(|(what, _)| !is_own(what));
    let found = found.filter_map(|(what, of)| {
        let (line, _) = code.iter().find(|(_, line)| names(line, what))?;
        Some(Use {
            line: *line,
            what,
            of: *of,
        })
    });
    found.collect()
}

/// Whether a line of code calls a method, names a package or has a hook of this name. A word that stands for itself is
/// none of these.
fn names(line: &str, what: &str) -> bool {
    if what.contains("::") {
        // Not Qpsmtpd::ConfigServer, nor Qpsmtpd::DB::File where Qpsmtpd::DB is named already.
        return has_word(line, what);
    }
    if what.starts_with("hook_") {
        return has_word(line, &format!("sub {what}"));
    }
    if what.starts_with('$') {
        return has_word(&line.replace(' ', ""), what);
    }
    match what {
        "data_post_headers" | "user_config" => {
            has_word(line, "register_hook") && has_word(line, what)
        }
        _ => has_word(line, &format!("->{what}")),
    }
}

/// The plugins that look like one version's, by their names: of 0.94, and of 1.00.
pub(super) fn look(all: &[Named], registry: &Registry) -> (Vec<String>, Vec<String>) {
    let (mut old, mut new) = (Vec::new(), Vec::new());
    for named in all {
        let name = named.name();
        let profiles: Vec<Profile> = match (whose(named, registry), only_in(&name)) {
            (Some(of), _) | (None, Some(of)) => vec![of],
            (None, None) => uses(&named.code()).iter().map(|found| found.of).collect(),
        };
        let is_old = profiles.contains(&Profile::V094);
        let is_new = profiles.contains(&Profile::V100);
        match (is_old, is_new) {
            (true, false) if !old.contains(&name) => old.push(name),
            (false, true) if !new.contains(&name) => new.push(name),
            _ => {}
        }
    }
    (old, new)
}

/// Whose file a plugin of qpsmtpd's is, where the versions' files are different ones.
fn whose(named: &Named, registry: &Registry) -> Option<Profile> {
    let twin = registry.twin(&named.name())?;
    let has = |profile| twin.files.iter().any(|(_, of)| *of == profile);
    (has(Profile::V094) && has(Profile::V100))
        .then(|| twin.whose(&named.text))
        .flatten()
}

/// Tells of what a plugin of the site's own has that the version of `compat` has not.
pub(super) fn other_version(
    named: &Named,
    profile: Profile,
    registry: &Registry,
    tell: &dyn Fn(Finding),
) {
    let (Some(file), false) = (&named.file, is_of_qpsmtpd(named, registry)) else {
        return;
    };
    for found in uses(&named.code())
        .iter()
        .filter(|found| found.of != profile)
    {
        tell(Finding::warning(format!(
            "{}:{}: plugin {}: {} is qpsmtpd {}'s alone, and config compat says {}: it works here, and not with \
             that qpsmtpd; write {} into compat if the plugin was written for it",
            file.display(),
            found.line,
            named.name(),
            found.what,
            compared_version(found.of),
            compared_version(profile),
            compared_version(found.of),
        )));
    }
}

/// Whether a plugin is one of qpsmtpd's own, by its name.
fn is_of_qpsmtpd(named: &Named, registry: &Registry) -> bool {
    let name = named.name();
    let name = super::known_plugins::renamed(&name);
    registry.twin(name).is_some()
        || only_in(name).is_some()
        || super::known_plugins::KNOWN
            .iter()
            .any(|known| known.name == name)
}

/// Some names: all of them, or the first three and how many more.
pub(super) fn some(names: &[String]) -> String {
    match names {
        [first, second, third, _, _, ..] => {
            format!("{first}, {second}, {third} and {} more", names.len() - 3)
        }
        _ => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<(usize, &'static str)> {
        let lines = text.lines().enumerate();
        let code: Vec<_> = lines.map(|(at, line)| (at + 1, line.to_owned())).collect();
        let found = uses(&code).into_iter();
        found.map(|found| (found.line, found.what)).collect()
    }

    #[test]
    fn what_one_version_alone_has_is_found_where_it_is_called() {
        assert_eq!(
            of("my $x;\n$self->qp->get_qmail_config('me');\n"),
            [(2, "get_qmail_config")]
        );
        assert_eq!(
            of("sub hook_data_post_headers {\n"),
            [(1, "hook_data_post_headers")]
        );
        assert_eq!(of("$rcpt -> config('x')"), [(1, "$rcpt->config")]);
        assert_eq!(of("use Qpsmtpd::Config;"), [(1, "Qpsmtpd::Config")]);
    }

    #[test]
    fn words_own_subs_and_longer_names_are_no_such_calls() {
        assert_eq!(of("use Qpsmtpd::ConfigServer; # is_ipv6\n"), []);
        assert_eq!(of("sub is_localhost { }\n$self->is_localhost($ip);\n"), []);
        assert_eq!(of("my %user_config = (); $self->qp->config('me')\n"), []);
    }

    #[test]
    fn many_names_are_three_and_a_number() {
        let names = |count| vec!["a".to_owned(); count];
        assert_eq!(some(&names(4)), "a, a, a, a");
        assert_eq!(some(&names(5)), "a, a, a and 2 more");
    }
}
