//! The commands beside the mail transaction: RSET, VRFY, NOOP, HELP, QUIT and those that the
//! server does not know.

use super::core::{Conversation, Flow, verdict_lines};
use crate::hook::{Arg, Code, Hook, Verdict};

impl Conversation {
    pub(super) async fn rset(&self) -> Flow {
        self.reset_transaction().await;
        self.say(250, "OK").await;
        Ok(())
    }

    pub(super) async fn vrfy(&self) -> Flow {
        self.run_hooks(Hook::Vrfy, Vec::new()).await
    }

    pub(super) async fn vrfy_respond(&self, verdict: &Verdict) -> Flow {
        match verdict.code {
            Code::Done => {}
            Code::Deny => {
                self.reply_verdict(554, verdict, "Access Denied").await;
                self.reset_transaction().await;
            }
            Code::Ok => self.reply_verdict(250, verdict, "User OK").await,
            _ => {
                let text = "Just try sending a mail and we'll see how it turns out ...";
                self.say(252, text).await;
            }
        }
        Ok(())
    }

    pub(super) async fn noop(&self) -> Flow {
        self.run_hooks(Hook::Noop, Vec::new()).await
    }

    pub(super) async fn noop_respond(&self, verdict: &Verdict) -> Flow {
        match verdict.code {
            Code::Done => {}
            Code::Deny | Code::DenyDisconnect => {
                self.reply_verdict(500, verdict, "Stop wasting my time.")
                    .await;
                if verdict.code.disconnects() {
                    return Err(self.disconnect().await);
                }
            }
            _ => self.say(250, "OK").await,
        }
        Ok(())
    }

    pub(super) async fn help(&self, rest: Option<&[u8]>) -> Flow {
        let args = rest.filter(|rest| !rest.is_empty()).map(Arg::of_client);
        self.run_hooks(Hook::Help, args.into_iter().collect()).await
    }

    pub(super) async fn help_respond(&self, verdict: &Verdict) -> Flow {
        match verdict.code {
            Code::Done => {}
            Code::Deny => {
                self.reply_verdict(500, verdict, "Syntax error, command not recognized")
                    .await;
            }
            _ if verdict.text().is_some() => self.reply(214, verdict_lines(verdict, b"")).await,
            _ => {
                let version = match self.state.version_hidden.get() {
                    true => "",
                    false => &self.state.settings.version,
                };
                let lines = [
                    format!("This is {} {version}", self.state.settings.product).into_bytes(),
                    b"See http://smtpd.develooper.com/".to_vec(),
                    b"To report bugs or send comments, mail to <ask@develooper.com>.".to_vec(),
                ];
                self.reply(214, lines.into()).await;
            }
        }
        Ok(())
    }

    pub(super) async fn quit(&self) -> Flow {
        self.run_hooks(Hook::Quit, Vec::new()).await
    }

    pub(super) async fn quit_respond(&self, verdict: &Verdict) -> Flow {
        if verdict.code != Code::Done {
            let mut text = self.me().await;
            text.extend_from_slice(b" closing connection. Have a wonderful day.");
            self.reply_verdict(221, verdict, text).await;
        }
        Err(self.disconnect().await)
    }

    pub(super) async fn unrecognized_command(&self, verb: &[u8], rest: Option<&[u8]>) -> Flow {
        let mut args = vec![Arg::of_client(verb)];
        args.extend(rest.map(Arg::of_client));
        self.run_hooks(Hook::UnrecognizedCommand, args).await
    }

    /// No mail client says that: what follows is somebody else's data, which may look like commands.
    fn is_forbidden(&self, verb: Option<&Arg>) -> bool {
        let Some(verb) = verb.and_then(Arg::text) else {
            return false;
        };
        let forbidden = &self.state.settings.forbidden_commands;
        // Before HELO those of HTTP; after it a message that is sent though DATA was refused, whose lines
        // may be somebody else's commands.
        let is_label = verb.len() > 1 && verb.ends_with(b":");
        !forbidden.is_empty() && (is_label || forbidden.contains(&verb.to_ascii_lowercase()))
    }

    pub(super) async fn unrecognized_command_respond(
        &self,
        verdict: &Verdict,
        args: &[Arg],
    ) -> Flow {
        let default = "Unrecognized command";
        match verdict.code {
            Code::Done => {}
            Code::DenyDisconnect => {
                self.reply_verdict(521, verdict, default).await;
                return Err(self.disconnect().await);
            }
            Code::Deny => self.reply_verdict(500, verdict, default).await,
            _ if self.is_forbidden(args.first()) => {
                self.say(521, default).await;
                return Err(self.disconnect().await);
            }
            _ => self.say(500, default).await,
        }
        Ok(())
    }
}
