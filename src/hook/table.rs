//! The one table of hooks: name, arguments, verdicts that mean something, what the session does where
//! no plugin decides, the method that does it, and how native plugins get it. The order is the one in
//! which a plugin's `hook_*` methods are registered.
//!
//! What comes from it: [`Hook`](super::Hook) and its facts, the session's responders, the `on_*`
//! methods and contexts of native plugins, Perl's list (`@Qpsmtpd::Plugin::hooks`), and what docs/hooks.md says
//! of each hook. The session's code is held to it by tests.

use super::method::Method;
use super::verdict::Code;

/// What an argument of a hook is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Bytes.
    Text,
    /// Bytes that the client has chosen: tainted for Perl.
    Client,
    /// A number.
    Int,
    /// A `Qpsmtpd::Address`.
    Address,
    /// Names and values in turns, as the line's parameters came.
    Pairs,
    /// The same as a reference to a hash.
    Hash,
    /// A reference to an array.
    List,
    /// Any number of further texts.
    Texts,
}

/// What is known of a hook.
#[derive(Debug)]
pub struct Facts {
    /// As `register_hook` takes it.
    pub name: &'static str,
    /// When it runs.
    pub when: &'static str,
    /// After the plugin and the transaction, in order.
    pub args: &'static [(&'static str, Kind)],
    /// The verdicts that make a difference, besides DECLINED.
    pub verdicts: &'static [Code],
    /// What the session does where no plugin decides.
    pub default: &'static str,
    /// The method of the session's object that does what the verdict asks for.
    pub responder: Option<Method>,
}

/// Gives all rows to a macro.
#[macro_export]
#[doc(hidden)]
macro_rules! with_hooks {
    ($use:ident) => {
        $use! {
            Logging { "logging", "For each line of the log.",
                args [("level", Int), ("hook", Text), ("plugin", Text), ("text", Texts)],
                verdicts [Ok], default "stderr, within `loglevel`",
                responder [], native [] }
            Config { "config", "When a config value is asked for.",
                args [("name", Text)],
                verdicts [Ok], default "the file's lines, else the default",
                responder [], native [] }
            UserConfig { "user_config", "When a recipient's or user's config value is asked for (1.00).",
                args [("address", Address), ("name", Text)],
                verdicts [Ok], default "no value",
                responder [], native [] }
            PostFork { "post-fork", "Once in each worker, before its first session.",
                args [],
                verdicts [], default "nothing",
                responder [], native [] }
            PreConnection { "pre-connection", "Before anything is said to a client; with remote_ip, remote_port, local_ip, local_port, max_conn_ip and child_addrs.",
                args [("connection", Pairs)],
                verdicts [Deny, DenySoft, DenyDisconnect, DenySoftDisconnect], default "the session begins",
                responder [], native [] }
            Connect { "connect", "When a client connects.",
                args [],
                verdicts [Deny, DenySoft, DenyDisconnect, DenySoftDisconnect, Done], default "220 and the greeting",
                responder [ConnectRespond], native [on_connect Context] }
            EhloParse { "ehlo_parse", "At EHLO: gives a parser for what follows.",
                args [],
                verdicts [], default "what follows is the host",
                responder [], native [] }
            Ehlo { "ehlo", "At EHLO.",
                args [("host", Client)],
                verdicts [Deny, DenySoft, DenyDisconnect, DenySoftDisconnect, Done], default "250 and the extensions",
                responder [EhloRespond], native [on_ehlo HelloContext] }
            HeloParse { "helo_parse", "At HELO: gives a parser for what follows.",
                args [],
                verdicts [], default "what follows is the host",
                responder [], native [] }
            Helo { "helo", "At HELO.",
                args [("host", Client)],
                verdicts [Deny, DenySoft, DenyDisconnect, DenySoftDisconnect, Done], default "250",
                responder [HeloRespond], native [on_helo HelloContext] }
            AuthParse { "auth_parse", "At AUTH: gives a parser for the line.",
                args [("line", Client)],
                verdicts [], default "mechanism and response as RFC 4954 has them",
                responder [AuthParseRespond], native [] }
            Auth { "auth", "At AUTH, where no hook of the mechanism has decided.",
                args [("mechanism", Text), ("user", Client), ("clear", Client), ("hash", Client), ("ticket", Text)],
                verdicts [Ok, Deny, DenySoft, DenyDisconnect, DenySoftDisconnect, Done], default "535",
                responder [], native [] }
            AuthPlain { "auth-plain", "At AUTH PLAIN.",
                args [("mechanism", Text), ("user", Client), ("clear", Client), ("hash", Client), ("ticket", Text)],
                verdicts [Ok, Deny, DenySoft, DenyDisconnect, DenySoftDisconnect, Done], default "the hook auth",
                responder [], native [] }
            AuthLogin { "auth-login", "At AUTH LOGIN.",
                args [("mechanism", Text), ("user", Client), ("clear", Client), ("hash", Client), ("ticket", Text)],
                verdicts [Ok, Deny, DenySoft, DenyDisconnect, DenySoftDisconnect, Done], default "the hook auth",
                responder [], native [] }
            AuthCramMd5 { "auth-cram-md5", "At AUTH CRAM-MD5.",
                args [("mechanism", Text), ("user", Client), ("clear", Client), ("hash", Client), ("ticket", Text)],
                verdicts [Ok, Deny, DenySoft, DenyDisconnect, DenySoftDisconnect, Done], default "the hook auth",
                responder [], native [] }
            RcptParse { "rcpt_parse", "At RCPT: gives a parser for the line.",
                args [("line", Client)],
                verdicts [], default "path and parameters as RFC 5321 has them",
                responder [RcptParseRespond], native [] }
            RcptPre { "rcpt_pre", "At RCPT, before the path is an address.",
                args [("path", Client), ("parameters", Hash)],
                verdicts [Ok], default "the path is the address",
                responder [RcptPreRespond], native [] }
            Rcpt { "rcpt", "At RCPT.",
                args [("recipient", Address), ("parameters", Pairs)],
                verdicts [Ok, Deny, DenySoft, DenyDisconnect, DenySoftDisconnect, Done], default "450, no plugin decided if relaying is allowed",
                responder [RcptRespond], native [on_rcpt RcptContext] }
            MailParse { "mail_parse", "At MAIL: gives a parser for the line.",
                args [("line", Client)],
                verdicts [], default "path and parameters as RFC 5321 has them",
                responder [MailParseRespond], native [] }
            Mail { "mail", "At MAIL.",
                args [("sender", Address), ("parameters", Pairs)],
                verdicts [Deny, DenySoft, DenyDisconnect, DenySoftDisconnect, Done], default "250",
                responder [MailRespond], native [on_mail MailContext] }
            MailPre { "mail_pre", "At MAIL, before the path is an address.",
                args [("path", Client), ("parameters", Hash)],
                verdicts [Ok], default "the path is the address",
                responder [MailPreRespond], native [] }
            Data { "data", "At DATA.",
                args [],
                verdicts [Deny, DenySoft, DenyDisconnect, DenySoftDisconnect, Done], default "354",
                responder [DataRespond], native [on_data Context] }
            DataHeadersEnd { "data_headers_end", "When the header of a message has been read.",
                args [],
                verdicts [DenyDisconnect, DenySoftDisconnect], default "the rest is read",
                responder [], native [] }
            DataPostHeaders { "data_post_headers", "After a message was read, before data_post (1.00).",
                args [],
                verdicts [], default "data_post",
                responder [], native [] }
            DataPost { "data_post", "After a message was read.",
                args [],
                verdicts [Deny, DenySoft, DenyDisconnect, DenySoftDisconnect, Done], default "the message is queued",
                responder [DataPostRespond], native [on_data_post Context] }
            QueuePre { "queue_pre", "Before a message is queued.",
                args [],
                verdicts [Deny, DenySoft, DenyDisconnect, DenySoftDisconnect, Done], default "the hook queue",
                responder [QueuePreRespond], native [on_queue_pre Context] }
            Queue { "queue", "To queue a message.",
                args [],
                verdicts [Ok, Deny, DenySoft, DenyDisconnect, DenySoftDisconnect, Done], default "451, queuing declined",
                responder [QueueRespond], native [on_queue Context] }
            QueuePost { "queue_post", "After the reply to a message.",
                args [],
                verdicts [], default "nothing",
                responder [QueuePostRespond], native [on_queue_post Context] }
            Vrfy { "vrfy", "At VRFY.",
                args [],
                verdicts [Ok, Deny, Done], default "252",
                responder [VrfyRespond], native [on_vrfy Context] }
            Noop { "noop", "At NOOP.",
                args [],
                verdicts [Deny, DenyDisconnect, Done], default "250",
                responder [NoopRespond], native [on_noop Context] }
            Quit { "quit", "At QUIT.",
                args [],
                verdicts [Ok, Deny, DenySoft, DenyDisconnect, DenySoftDisconnect, Done], default "221",
                responder [QuitRespond], native [on_quit Context] }
            ResetTransaction { "reset_transaction", "When the transaction ends.",
                args [],
                verdicts [], default "nothing",
                responder [], native [on_reset_transaction Context] }
            Disconnect { "disconnect", "Before the connection ends.",
                args [],
                verdicts [], default "nothing",
                responder [], native [on_disconnect Context] }
            PostConnection { "post-connection", "After everything else.",
                args [],
                verdicts [], default "nothing",
                responder [], native [on_post_connection Context] }
            UnrecognizedCommand { "unrecognized_command", "At a verb that the session does not know.",
                args [("verb", Client), ("rest", Client)],
                verdicts [Deny, DenyDisconnect, Done], default "500",
                responder [UnrecognizedCommandRespond], native [on_unrecognized_command Context] }
            Deny { "deny", "After a plugin's verdict that denies.",
                args [("plugin", Text), ("code", Int), ("text", Text)],
                verdicts [], default "nothing",
                responder [], native [] }
            Ok { "ok", "After any other verdict of a plugin's.",
                args [("plugin", Text), ("code", Int), ("text", Text)],
                verdicts [], default "nothing",
                responder [], native [] }
            ReceivedLine { "received_line", "When the message's Received field is made.",
                args [("smtp", Text), ("auth", Client), ("cipher", Text)],
                verdicts [Ok], default "the default field",
                responder [], native [] }
            Help { "help", "At HELP.",
                args [("words", Texts)],
                verdicts [Ok, Deny, DenySoft, DenyDisconnect, DenySoftDisconnect, Done], default "214",
                responder [HelpRespond], native [on_help Context] }
        }
    };
}
