//! The places where a subclass in the scripting language may have put a method of its own in the
//! place of the session's: each is asked for here, and the session goes straight on where none is.

use super::core::{Conversation, Ended, Flow, LOGERROR, is_true};
use super::step::{Called, MethodCall, Returned, Step};
use crate::hook::{Arg, Hook, HookCall, Method, Verdict};

impl Conversation {
    pub(super) fn is_replaced(&self, method: Method) -> bool {
        self.state.replaced.get().has(method)
    }

    /// Calls a method that was replaced. One that dies has its error in the log, and the
    /// command that led to it fails.
    pub(super) async fn call(&self, method: Method, args: Vec<Arg>) -> Result<Returned, Ended> {
        let call = MethodCall { method, args };
        match self.ask(|to| Step::Call(call, to)).await {
            Called::Returned(returned) => Ok(returned),
            Called::Died(error) => {
                self.log(LOGERROR, [b"XX: ", &error[..]].concat());
                self.state.command_failed.set(true);
                Err(Ended)
            }
        }
    }

    /// The same where the session goes on in any case.
    pub(super) async fn try_call(&self, method: Method, args: Vec<Arg>) {
        if self.call(method, args).await.is_err() {
            self.state.command_failed.set(false);
        }
    }

    /// A hook's chain, of which the session looks at the verdict.
    pub(super) async fn hook(&self, hook: Hook, args: Vec<Arg>) -> Verdict {
        if self.is_replaced(Method::RunHooks) {
            let mut all = vec![Arg::from(hook.name())];
            all.extend(args);
            let returned = self.call(Method::RunHooks, all).await;
            return returned
                .ok()
                .and_then(|returned| returned.verdict)
                .unwrap_or_else(Verdict::declined);
        }
        self.chain(hook, args).await
    }

    /// A hook's chain, as the session's own `run_hooks` has it.
    pub(super) async fn chain(&self, hook: Hook, args: Vec<Arg>) -> Verdict {
        let call = HookCall::with(hook, args);
        self.ask(|to| Step::Hook(call, to)).await
    }

    /// A hook's chain, and what the session does with its verdict.
    pub(super) async fn run_hooks(&self, hook: Hook, args: Vec<Arg>) -> Flow {
        if self.is_replaced(Method::RunHooks) {
            let mut all = vec![Arg::from(hook.name())];
            all.extend(args);
            self.call(Method::RunHooks, all).await?;
            return Ok(());
        }
        let verdict = self.chain(hook, args.clone()).await;
        self.conclude(hook, &verdict, &args).await
    }

    /// Does with a verdict what its hook's place in the session asks for.
    pub(super) async fn conclude(&self, hook: Hook, verdict: &Verdict, args: &[Arg]) -> Flow {
        if let Some(method) = Method::responder(hook)
            && self.is_replaced(method)
        {
            let texts = verdict.values.iter().cloned();
            let texts = texts.map(|text| text.map_or(Arg::Undef, Arg::Bytes));
            let code = match &verdict.code {
                crate::hook::Code::Other(other) => Arg::Bytes(other.clone()),
                known => Arg::Int(known.number().unwrap_or_default().into()),
            };
            let all = vec![code, Arg::Args(texts.collect()), Arg::Args(args.to_vec())];
            self.call(method, all).await?;
            return Ok(());
        }
        self.respond_to(hook, verdict, args).await
    }

    /// Obeys a command by the method that has its verb's name. A method that died makes the
    /// command fail, and the session goes on.
    pub(super) async fn command_by_method(&self, method: Method, rest: Option<&[u8]>) -> Flow {
        let args = rest.map(Arg::of_client).into_iter().collect();
        self.call(method, args).await?;
        Ok(())
    }

    /// After a command: says so where it failed, and whether the session goes on.
    pub(super) async fn settle(&self, verb: &[u8], flow: Flow) -> Flow {
        if !self.state.command_failed.replace(false) {
            return flow;
        }
        let verb = String::from_utf8_lossy(verb);
        let text = format!("command '{verb}' failed unexpectedly");
        self.try_call(Method::Fault, vec![Arg::from(&text[..])])
            .await;
        Ok(())
    }

    /// The text of the Received line from a method that was replaced.
    pub(super) async fn replaced_received_line(&self) -> Option<Vec<u8>> {
        let returned = self.call(Method::ReceivedLine, Vec::new()).await.ok()?;
        returned.first.filter(|text| is_true(text))
    }
}
