//! Which hooks a native plugin has, and a hook that is ready to be called.

use std::rc::Rc;

use super::access::{Later, SessionAccess};
use super::context::*;
use super::failure::HookResult;
use crate::hook::{Hook, HookCall};

type LaterFn = dyn for<'a> Fn(&'a dyn SessionAccess, &'a HookCall) -> Later<'a, HookResult>;

/// A native plugin's hook, ready to be called.
#[derive(Clone)]
pub struct Handler {
    /// What the plugin is called in log lines and by other plugins: as a Perl plugin of that line
    /// without `native/` is.
    pub plugin: Rc<str>,
    /// The hook.
    pub hook: Hook,
    run: Rc<LaterFn>,
}

impl Handler {
    /// Calls it in a session.
    pub async fn call(&self, session: &dyn SessionAccess, call: &HookCall) -> HookResult {
        (self.run)(session, call).await
    }
}

/// Takes a plugin's hooks, when it is loaded.
pub struct Hooks<P> {
    pub(super) name: Rc<str>,
    pub(super) plugin: Rc<P>,
    pub(super) handlers: Vec<Handler>,
}

/// A method for each hook that the table gives to native plugins.
macro_rules! hook_methods {
    ($($hook:ident {
        $name:literal, $when:literal,
        args $args:tt, verdicts $verdicts:tt, default $default:literal,
        responder $responder:tt, native [$($method:ident $context:ident)?]
    })*) => {
        impl<P: 'static> Hooks<P> { $($(
            #[doc = concat!("The hook `", $name, "`. ", $when)]
            pub fn $method(
                &mut self,
                handler: impl AsyncFn(&P, &mut $context<'_>) -> HookResult + Clone + 'static,
            ) {
                self.on(Hook::$hook, move |plugin: Rc<P>, name: Rc<str>, session, call| {
                    let handler = handler.clone();
                    Box::pin(async move {
                        let mut context = $context::from(Cx::new(session, call, &name));
                        handler(&plugin, &mut context).await
                    })
                });
            }
        )?)* }
    };
}

crate::with_hooks!(hook_methods);

impl<P: 'static> Hooks<P> {
    fn on<F>(&mut self, hook: Hook, run: F)
    where
        F: for<'a> Fn(Rc<P>, Rc<str>, &'a dyn SessionAccess, &'a HookCall) -> Later<'a, HookResult>
            + 'static,
    {
        let (plugin, name) = (self.plugin.clone(), self.name.clone());
        self.handlers.push(Handler {
            plugin: self.name.clone(),
            hook,
            run: Rc::new(move |session, call| run(plugin.clone(), name.clone(), session, call)),
        });
    }
}
