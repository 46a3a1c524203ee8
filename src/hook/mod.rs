//! The hooks by qpsmtpd's names, what a plugin may answer, and a call of a hook with its
//! arguments. Does not know who handles a hook, nor what a session does with the verdict.

#![forbid(unsafe_code)]

mod call;
mod method;
mod verdict;

pub use call::{Arg, HookCall};
pub use method::{Method, MethodSet};
pub use verdict::{Code, Verdict};

/// Every hook of qpsmtpd 0.94 and 1.00, with the names under which plugins register.
macro_rules! hooks {
    ($($variant:ident $name:literal,)*) => {
        /// A hook. `name` is what `register_hook` takes (`pre-connection`), `method` the
        /// suffix of the Perl method (`hook_pre_connection`).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Hook { $($variant,)* }

        impl Hook {
            /// All hooks, in the order in which a plugin's `hook_*` methods are registered.
            pub const ALL: &'static [Hook] = &[$(Hook::$variant,)*];

            /// The name as `register_hook` takes it.
            pub const fn name(self) -> &'static str {
                match self { $(Hook::$variant => $name,)* }
            }
        }
    };
}

hooks! {
    Config "config",
    UserConfig "user_config",
    PostFork "post-fork",
    Queue "queue",
    QueuePre "queue_pre",
    QueuePost "queue_post",
    Data "data",
    DataHeadersEnd "data_headers_end",
    DataPostHeaders "data_post_headers",
    DataPost "data_post",
    Quit "quit",
    Rcpt "rcpt",
    RcptPre "rcpt_pre",
    RcptParse "rcpt_parse",
    Mail "mail",
    MailPre "mail_pre",
    MailParse "mail_parse",
    Ehlo "ehlo",
    EhloParse "ehlo_parse",
    Helo "helo",
    HeloParse "helo_parse",
    AuthParse "auth_parse",
    Auth "auth",
    AuthPlain "auth-plain",
    AuthLogin "auth-login",
    AuthCramMd5 "auth-cram-md5",
    Connect "connect",
    PreConnection "pre-connection",
    PostConnection "post-connection",
    ResetTransaction "reset_transaction",
    UnrecognizedCommand "unrecognized_command",
    Disconnect "disconnect",
    Deny "deny",
    Ok "ok",
    ReceivedLine "received_line",
    Help "help",
    Noop "noop",
    Vrfy "vrfy",
    Logging "logging",
}

impl Hook {
    /// The hook with this name; `pre_connection` finds `pre-connection` as well.
    pub fn by_name(name: &[u8]) -> Option<Hook> {
        let same = |hook: &&Hook| {
            let known = hook.name().as_bytes();
            known.len() == name.len()
                && known
                    .iter()
                    .zip(name)
                    .all(|(k, n)| k == n || (*k == b'-' && *n == b'_'))
        };
        Hook::ALL.iter().find(same).copied()
    }

    /// Hooks of which the chain keeps no account: no log line of their own, and no `ok` or
    /// `deny` hook after them (as in qpsmtpd, where they would run without end).
    pub const fn is_internal(self) -> bool {
        matches!(
            self,
            Hook::Logging | Hook::Config | Hook::UserConfig | Hook::Deny | Hook::Ok
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_is_found_by_its_registered_name_and_by_its_method_name() {
        assert_eq!(Hook::by_name(b"pre-connection"), Some(Hook::PreConnection));
        assert_eq!(Hook::by_name(b"pre_connection"), Some(Hook::PreConnection));
        assert_eq!(Hook::by_name(b"rcpt"), Some(Hook::Rcpt));
        assert_eq!(Hook::by_name(b"nonesuch"), None);
    }
}
