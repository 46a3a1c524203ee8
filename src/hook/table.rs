//! The one table of hooks: name, arguments, verdicts that mean something, what the session does where
//! no plugin decides, the method that does it, and how native plugins get it. The order is the one in
//! which a plugin's `hook_*` methods are registered.
//!
//! What comes from it: [`Hook`](super::Hook) and its facts, the session's responders, the methods and
//! contexts by which native plugins have them, Perl's list (`@Qpsmtpd::Plugin::hooks`), and what
//! docs/tables/hooks.md says of each hook. The session's code is held to it by tests.

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
macro_rules! with_hooks {
    ($use:ident) => {
        $use! {
            Logging { "logging", "For each line of the log.",
                args [("level", Int), ("hook", Text), ("plugin", Text), ("text", Texts)],
                verdicts [Ok], default "stderr, within `loglevel`",
                responder [], native [now logging LoggingCx] }
            Config { "config", "When a config value is asked for.",
                args [("name", Text)],
                verdicts [Ok], default "the file's lines, else the default",
                responder [], native [later config ConfigCx] }
            UserConfig { "user_config", "When a recipient's or user's config value is asked for (1.00).",
                args [("address", Address), ("name", Text)],
                verdicts [Ok], default "no value",
                responder [], native [later user_config UserConfigCx] }
            PostFork { "post-fork", "Once in each worker, before its first session.",
                args [],
                verdicts [], default "nothing",
                responder [], native [later post_fork Cx] }
            PreConnection { "pre-connection", "Before anything is said to a client; with remote_ip, remote_port, local_ip, local_port, max_conn_ip and child_addrs.",
                args [("connection", Pairs)],
                verdicts [Deny, DenySoft, DenyDisconnect, DenySoftDisconnect], default "the session begins",
                responder [], native [later pre_connection PreConnectionCx] }
            Connect { "connect", "When a client connects.",
                args [],
                verdicts [Deny, DenySoft, DenyDisconnect, DenySoftDisconnect, Done], default "220 and the greeting",
                responder [ConnectRespond], native [later connect Cx] }
            EhloParse { "ehlo_parse", "At EHLO: gives a parser for what follows.",
                args [],
                verdicts [], default "what follows is the host",
                responder [], native [later ehlo_parse ParseCx] }
            Ehlo { "ehlo", "At EHLO.",
                args [("host", Client)],
                verdicts [Deny, DenySoft, DenyDisconnect, DenySoftDisconnect, Done], default "250 and the extensions",
                responder [EhloRespond], native [later ehlo HelloCx] }
            HeloParse { "helo_parse", "At HELO: gives a parser for what follows.",
                args [],
                verdicts [], default "what follows is the host",
                responder [], native [later helo_parse ParseCx] }
            Helo { "helo", "At HELO.",
                args [("host", Client)],
                verdicts [Deny, DenySoft, DenyDisconnect, DenySoftDisconnect, Done], default "250",
                responder [HeloRespond], native [later helo HelloCx] }
            AuthParse { "auth_parse", "At AUTH: gives a parser for the line.",
                args [("line", Client)],
                verdicts [], default "mechanism and response as RFC 4954 has them",
                responder [AuthParseRespond], native [later auth_parse ParseCx] }
            Auth { "auth", "At AUTH, where no hook of the mechanism has decided.",
                args [("mechanism", Text), ("user", Client), ("clear", Client), ("hash", Client), ("ticket", Text)],
                verdicts [Ok, Deny, DenySoft, DenyDisconnect, DenySoftDisconnect, Done], default "535",
                responder [], native [later auth AuthCx] }
            AuthPlain { "auth-plain", "At AUTH PLAIN.",
                args [("mechanism", Text), ("user", Client), ("clear", Client), ("hash", Client), ("ticket", Text)],
                verdicts [Ok, Deny, DenySoft, DenyDisconnect, DenySoftDisconnect, Done], default "the hook auth",
                responder [], native [later auth_plain AuthCx] }
            AuthLogin { "auth-login", "At AUTH LOGIN.",
                args [("mechanism", Text), ("user", Client), ("clear", Client), ("hash", Client), ("ticket", Text)],
                verdicts [Ok, Deny, DenySoft, DenyDisconnect, DenySoftDisconnect, Done], default "the hook auth",
                responder [], native [later auth_login AuthCx] }
            AuthCramMd5 { "auth-cram-md5", "At AUTH CRAM-MD5.",
                args [("mechanism", Text), ("user", Client), ("clear", Client), ("hash", Client), ("ticket", Text)],
                verdicts [Ok, Deny, DenySoft, DenyDisconnect, DenySoftDisconnect, Done], default "the hook auth",
                responder [], native [later auth_cram_md5 AuthCx] }
            RcptParse { "rcpt_parse", "At RCPT: gives a parser for the line.",
                args [("line", Client)],
                verdicts [], default "path and parameters as RFC 5321 has them",
                responder [RcptParseRespond], native [later rcpt_parse ParseCx] }
            RcptPre { "rcpt_pre", "At RCPT, before the path is an address.",
                args [("path", Client), ("parameters", Hash)],
                verdicts [Ok], default "the path is the address",
                responder [RcptPreRespond], native [later rcpt_pre PathCx] }
            Rcpt { "rcpt", "At RCPT.",
                args [("recipient", Address), ("parameters", Pairs)],
                verdicts [Ok, Deny, DenySoft, DenyDisconnect, DenySoftDisconnect, Done], default "450, no plugin decided if relaying is allowed",
                responder [RcptRespond], native [later rcpt RcptCx] }
            MailParse { "mail_parse", "At MAIL: gives a parser for the line.",
                args [("line", Client)],
                verdicts [], default "path and parameters as RFC 5321 has them",
                responder [MailParseRespond], native [later mail_parse ParseCx] }
            Mail { "mail", "At MAIL.",
                args [("sender", Address), ("parameters", Pairs)],
                verdicts [Deny, DenySoft, DenyDisconnect, DenySoftDisconnect, Done], default "250",
                responder [MailRespond], native [later mail MailCx] }
            MailPre { "mail_pre", "At MAIL, before the path is an address.",
                args [("path", Client), ("parameters", Hash)],
                verdicts [Ok], default "the path is the address",
                responder [MailPreRespond], native [later mail_pre PathCx] }
            Data { "data", "At DATA.",
                args [],
                verdicts [Deny, DenySoft, DenyDisconnect, DenySoftDisconnect, Done], default "354",
                responder [DataRespond], native [later data Cx] }
            DataHeadersEnd { "data_headers_end", "When the header of a message has been read.",
                args [],
                verdicts [DenyDisconnect, DenySoftDisconnect], default "the rest is read",
                responder [], native [later data_headers_end Cx] }
            DataPostHeaders { "data_post_headers", "After a message was read, before data_post (1.00).",
                args [],
                verdicts [], default "data_post",
                responder [], native [later data_post_headers Cx] }
            DataPost { "data_post", "After a message was read.",
                args [],
                verdicts [Deny, DenySoft, DenyDisconnect, DenySoftDisconnect, Done], default "the message is queued",
                responder [DataPostRespond], native [later data_post Cx] }
            QueuePre { "queue_pre", "Before a message is queued.",
                args [],
                verdicts [Deny, DenySoft, DenyDisconnect, DenySoftDisconnect, Done], default "the hook queue",
                responder [QueuePreRespond], native [later queue_pre Cx] }
            Queue { "queue", "To queue a message.",
                args [],
                verdicts [Ok, Deny, DenySoft, DenyDisconnect, DenySoftDisconnect, Done], default "451, queuing declined",
                responder [QueueRespond], native [later queue Cx] }
            QueuePost { "queue_post", "After the reply to a message.",
                args [],
                verdicts [], default "nothing",
                responder [QueuePostRespond], native [later queue_post Cx] }
            Vrfy { "vrfy", "At VRFY.",
                args [],
                verdicts [Ok, Deny, Done], default "252",
                responder [VrfyRespond], native [later vrfy Cx] }
            Noop { "noop", "At NOOP.",
                args [],
                verdicts [Deny, DenyDisconnect, Done], default "250",
                responder [NoopRespond], native [later noop Cx] }
            Quit { "quit", "At QUIT.",
                args [],
                verdicts [Ok, Deny, DenySoft, DenyDisconnect, DenySoftDisconnect, Done], default "221",
                responder [QuitRespond], native [later quit Cx] }
            ResetTransaction { "reset_transaction", "When the transaction ends.",
                args [],
                verdicts [], default "nothing",
                responder [], native [later reset_transaction Cx] }
            Disconnect { "disconnect", "Before the connection ends.",
                args [],
                verdicts [], default "nothing",
                responder [], native [later disconnect Cx] }
            PostConnection { "post-connection", "After everything else.",
                args [],
                verdicts [], default "nothing",
                responder [], native [later post_connection Cx] }
            UnrecognizedCommand { "unrecognized_command", "At a verb that the session does not know.",
                args [("verb", Client), ("rest", Client)],
                verdicts [Deny, DenyDisconnect, Done], default "500",
                responder [UnrecognizedCommandRespond], native [later unrecognized_command CommandCx] }
            Deny { "deny", "After a plugin's verdict that denies.",
                args [("plugin", Text), ("code", Int), ("text", Text)],
                verdicts [], default "nothing",
                responder [], native [now deny VerdictCx] }
            Ok { "ok", "After any other verdict of a plugin's.",
                args [("plugin", Text), ("code", Int), ("text", Text)],
                verdicts [], default "nothing",
                responder [], native [now ok VerdictCx] }
            ReceivedLine { "received_line", "When the message's Received field is made.",
                args [("smtp", Text), ("auth", Client), ("cipher", Text)],
                verdicts [Ok], default "the default field",
                responder [], native [later received_line ReceivedLineCx] }
            Help { "help", "At HELP.",
                args [("words", Texts)],
                verdicts [Ok, Deny, DenySoft, DenyDisconnect, DenySoftDisconnect, Done], default "214",
                responder [HelpRespond], native [later help HelpCx] }
        }
    };
}

pub(crate) use with_hooks;
