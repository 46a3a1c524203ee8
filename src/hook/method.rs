//! The methods of a session's object that a subclass in the scripting language may put its own
//! in place of, by qpsmtpd's names. Does not know who calls them, nor whether one is replaced.

/// Every method of which the session asks whether it was replaced.
macro_rules! methods {
    ($($variant:ident $name:literal,)*) => {
        /// A method of the session's object.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Method { $(#[doc = concat!("`", $name, "`.")] $variant,)* }

        impl Method {
            /// All methods.
            pub const ALL: &'static [Method] = &[$(Method::$variant,)*];

            /// The name that the scripting language knows it by.
            pub const fn name(self) -> &'static str {
                match self { $(Method::$variant => $name,)* }
            }
        }
    };
}

methods! {
    Helo "helo",
    Ehlo "ehlo",
    Auth "auth",
    Mail "mail",
    Rcpt "rcpt",
    Data "data",
    Rset "rset",
    Vrfy "vrfy",
    Noop "noop",
    Help "help",
    Quit "quit",
    ConnectRespond "connect_respond",
    HeloRespond "helo_respond",
    EhloRespond "ehlo_respond",
    AuthParseRespond "auth_parse_respond",
    MailParseRespond "mail_parse_respond",
    MailPreRespond "mail_pre_respond",
    MailRespond "mail_respond",
    RcptParseRespond "rcpt_parse_respond",
    RcptPreRespond "rcpt_pre_respond",
    RcptRespond "rcpt_respond",
    DataRespond "data_respond",
    DataPostRespond "data_post_respond",
    QueuePreRespond "queue_pre_respond",
    QueueRespond "queue_respond",
    QueuePostRespond "queue_post_respond",
    VrfyRespond "vrfy_respond",
    NoopRespond "noop_respond",
    HelpRespond "help_respond",
    QuitRespond "quit_respond",
    UnrecognizedCommandRespond "unrecognized_command_respond",
    Queue "queue",
    Dispatch "dispatch",
    Respond "respond",
    Fault "fault",
    Getline "getline",
    ReceivedLine "received_line",
    ResetTransaction "reset_transaction",
    Disconnect "disconnect",
    RunHooks "run_hooks",
    Log "log",
    Varlog "varlog",
    Config "config",
    ConfigDir "config_dir",
}

impl Method {
    /// The command with this verb, in lower case.
    pub fn of_verb(verb: &[u8]) -> Option<Method> {
        let commands = &Method::ALL[..=Method::Quit as usize];
        let named = |method: &&Method| method.name().as_bytes() == verb;
        commands.iter().find(named).copied()
    }
}

/// A set of methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MethodSet(u64);

impl MethodSet {
    /// Whether a method is in the set.
    pub const fn has(self, method: Method) -> bool {
        self.0 & (1 << method as u32) != 0
    }
}

impl FromIterator<Method> for MethodSet {
    fn from_iter<I: IntoIterator<Item = Method>>(methods: I) -> MethodSet {
        let bits = methods.into_iter().map(|method| 1 << method as u32);
        MethodSet(bits.fold(0, |set, bit: u64| set | bit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hook::Hook;

    #[test]
    fn all_methods_fit_a_set() {
        assert!(Method::ALL.len() <= 64);
    }

    #[test]
    fn a_responder_is_named_after_its_hook() {
        for hook in Hook::ALL {
            if let Some(method) = Method::responder(*hook) {
                assert_eq!(method.name(), format!("{}_respond", hook.name()));
            }
        }
    }

    #[test]
    fn commands_are_found_by_their_verbs_and_nothing_else_is() {
        assert_eq!(Method::of_verb(b"mail"), Some(Method::Mail));
        assert_eq!(Method::of_verb(b"quit"), Some(Method::Quit));
        assert_eq!(Method::of_verb(b"respond"), None);
        assert_eq!(Method::of_verb(b"queue"), None);
    }
}
