//! Which hooks a native plugin has, and a hook that is ready to be called.

use std::rc::Rc;

use super::access::{Later, SessionAccess};
use super::contexts::*;
use super::cx::{Cx, Identity};
use super::failure::HookResult;
use crate::hook::{Hook, HookCall, with_hooks};

type LaterFn = dyn for<'a> Fn(&'a dyn SessionAccess, &'a HookCall) -> Later<'a, HookResult>;
type NowFn = dyn Fn(&dyn SessionAccess, &HookCall) -> HookResult;

/// A native plugin's hook, ready to be called.
#[derive(Clone)]
pub struct Handler {
    /// What the plugin is called in log lines and by other plugins: as a Perl plugin of that line
    /// without `native/` is.
    pub plugin: Rc<str>,
    /// As plugin_settings has it: with `native/`, but where it stands in a Perl plugin's place.
    pub listed: Rc<str>,
    /// The hook.
    pub hook: Hook,
    run: Run,
}

#[derive(Clone)]
enum Run {
    Later(Rc<LaterFn>),
    /// It never waits: such hooks run while another plugin's verdict is weighed, or a line is logged.
    Now(Rc<NowFn>),
}

impl Handler {
    /// A hook that is no method of a plugin's type: it reaches its session without a context.
    /// It is listed as its line has it.
    pub(crate) fn new<F>(plugin: Rc<str>, listed: Rc<str>, hook: Hook, run: F) -> Handler
    where
        F: for<'a> Fn(&'a dyn SessionAccess, &'a HookCall) -> Later<'a, HookResult> + 'static,
    {
        let run = Run::Later(Rc::new(run));
        Handler {
            plugin,
            listed,
            hook,
            run,
        }
    }

    /// Calls it in a session.
    pub async fn call(&self, session: &dyn SessionAccess, call: &HookCall) -> HookResult {
        match &self.run {
            Run::Later(run) => run(session, call).await,
            Run::Now(run) => run(session, call),
        }
    }

    /// Calls it, where it never waits.
    pub fn call_now(&self, session: &dyn SessionAccess, call: &HookCall) -> Option<HookResult> {
        match &self.run {
            Run::Later(_) => None,
            Run::Now(run) => Some(run(session, call)),
        }
    }

    /// Whether it never waits.
    pub fn never_waits(&self) -> bool {
        matches!(self.run, Run::Now(_))
    }
}

/// Takes a plugin's hooks, when it is loaded.
pub struct Hooks<P> {
    pub(super) identity: Rc<Identity>,
    pub(super) plugin: Rc<P>,
    pub(super) handlers: Vec<Handler>,
}

/// The method by which plugins have a hook: one that may wait, or one that must not.
macro_rules! hook_method {
    (later, $hook:ident, $name:literal, $when:literal, $method:ident, $context:ident) => {
        #[doc = concat!("The hook `", $name, "`. ", $when)]
        pub fn $method(
            &mut self,
            handler: impl AsyncFn(&P, &mut $context<'_>) -> HookResult + Clone + 'static,
        ) {
            self.on(
                Hook::$hook,
                move |plugin: Rc<P>, identity: Rc<Identity>, session, call| {
                    let handler = handler.clone();
                    Box::pin(async move {
                        let mut context = $context::from(Cx::new(session, call, &identity));
                        handler(&plugin, &mut context).await
                    })
                },
            );
        }
    };
    (now, $hook:ident, $name:literal, $when:literal, $method:ident, $context:ident) => {
        #[doc = concat!("The hook `", $name, "`. ", $when, " It cannot wait.")]
        pub fn $method(&mut self, handler: impl Fn(&P, &mut $context<'_>) -> HookResult + 'static) {
            self.now(Hook::$hook, move |plugin: &P, cx| {
                handler(plugin, &mut $context::from(cx))
            });
        }
    };
}

/// The method by which a hook that could wait is a plain function.
macro_rules! plain_method {
    (later, $hook:ident, $name:literal, $when:literal, $method:ident, $context:ident) => {
        #[doc = concat!("The hook `", $name, "`. ", $when)]
        pub fn $method(&mut self, handler: impl Fn(&P, &mut $context<'_>) -> HookResult + 'static) {
            self.0.now(Hook::$hook, move |plugin: &P, cx| {
                handler(plugin, &mut $context::from(cx))
            });
        }
    };
    (now, $hook:ident, $name:literal, $when:literal, $method:ident, $context:ident) => {};
}

/// Takes hooks that never wait, as plain functions: they are called where they stand in the chain, with
/// no way back to other sessions until they are done, and no time limit ends them.
pub struct Plain<'a, P>(&'a mut Hooks<P>);

/// A method for each hook of the table: a row that has none does not compile.
macro_rules! hook_methods {
    ($($hook:ident {
        $name:literal, $when:literal,
        args $args:tt, verdicts $verdicts:tt, default $default:literal,
        responder $responder:tt, native [$mode:ident $method:ident $context:ident]
    })*) => {
        impl<P: 'static> Hooks<P> {
            $(hook_method!($mode, $hook, $name, $when, $method, $context);)*
        }

        impl<P: 'static> Plain<'_, P> {
            $(plain_method!($mode, $hook, $name, $when, $method, $context);)*
        }
    };
}

with_hooks!(hook_methods);

impl<P: 'static> Hooks<P> {
    /// The plugin, for hooks that only some of its lines have.
    pub fn plugin(&self) -> Rc<P> {
        self.plugin.clone()
    }

    /// For hooks that never wait: `hooks.plain().rcpt(Self::rcpt)` with a function that is not async.
    pub fn plain(&mut self) -> Plain<'_, P> {
        Plain(self)
    }

    fn now(&mut self, hook: Hook, handler: impl Fn(&P, Cx<'_>) -> HookResult + 'static) {
        let (plugin, identity) = (self.plugin.clone(), self.identity.clone());
        let run = move |session: &dyn SessionAccess, call: &HookCall| {
            handler(&plugin, Cx::new(session, call, &identity))
        };
        self.push(hook, Run::Now(Rc::new(run)));
    }

    fn on<F>(&mut self, hook: Hook, run: F)
    where
        F: for<'a> Fn(
                Rc<P>,
                Rc<Identity>,
                &'a dyn SessionAccess,
                &'a HookCall,
            ) -> Later<'a, HookResult>
            + 'static,
    {
        let (plugin, identity) = (self.plugin.clone(), self.identity.clone());
        self.push(
            hook,
            Run::Later(Rc::new(move |session, call| {
                run(plugin.clone(), identity.clone(), session, call)
            })),
        );
    }

    fn push(&mut self, hook: Hook, run: Run) {
        let plugin = self.identity.name.clone();
        let listed = Rc::from(format!("native/{plugin}"));
        self.handlers.push(Handler {
            plugin,
            listed,
            hook,
            run,
        });
    }
}
