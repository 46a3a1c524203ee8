//! Which native plugins there are, and those that config/plugins has loaded.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use super::Plugin;
use super::context::{Context, HelloContext, MailContext, RcptContext, SessionAccess};
use super::twin::{Twin, TwinEntry};
use crate::chain::Guards;
use crate::config::ConfigDir;
use crate::hook::{Hook, HookCall, Verdict};

/// The words after the plugin's name.
#[derive(Debug, Clone, Default)]
pub struct PluginArgs(pub Vec<Vec<u8>>);

impl PluginArgs {
    /// Arguments in pairs, `name value`.
    pub fn pairs(&self) -> Result<Vec<Pair<'_>>, PluginError> {
        if !self.0.len().is_multiple_of(2) {
            return Err(PluginError(
                "arguments must be pairs: name value".to_owned(),
            ));
        }
        Ok(self
            .0
            .chunks_exact(2)
            .map(|pair| (&*pair[0], &*pair[1]))
            .collect())
    }
}

/// The name and the value of an argument.
pub(super) type Pair<'a> = (&'a [u8], &'a [u8]);

/// Why a native plugin could not be loaded: what was found, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PluginError(pub String);

type Hooked<'a> = Pin<Box<dyn Future<Output = Verdict> + 'a>>;
type HookFn = dyn for<'a> Fn(&'a dyn SessionAccess, &'a HookCall) -> Hooked<'a>;

/// A native plugin's hook, ready to be called.
#[derive(Clone)]
pub struct Handler {
    /// The plugin's name in the chain, `native/NAME`.
    pub plugin: Rc<str>,
    /// The hook.
    pub hook: Hook,
    run: Rc<HookFn>,
}

impl Handler {
    /// A hook that is no method of a plugin's type: it reaches its session without a context.
    pub(crate) fn new<F>(plugin: Rc<str>, hook: Hook, run: F) -> Handler
    where
        F: for<'a> Fn(&'a dyn SessionAccess, &'a HookCall) -> Hooked<'a> + 'static,
    {
        let run = Rc::new(run);
        Handler { plugin, hook, run }
    }

    /// Calls it in a session.
    pub async fn call(&self, session: &dyn SessionAccess, call: &HookCall) -> Verdict {
        (self.run)(session, call).await
    }
}

/// Takes a plugin's hooks while it registers.
pub struct Hooks<P> {
    name: Rc<str>,
    plugin: Rc<P>,
    handlers: Vec<Handler>,
}

/// An `on_*` method for each hook that the table gives to native plugins.
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
                handler: impl AsyncFn(&P, &mut $context<'_>) -> Verdict + Clone + 'static,
            ) {
                self.on(Hook::$hook, move |plugin: Rc<P>, name: Rc<str>, session, call| {
                    let handler = handler.clone();
                    Box::pin(async move {
                        let mut context = $context::from(Context::new(session, call, &name));
                        handler(&plugin, &mut context).await
                    })
                });
            }
        )?)* }
    };
}

crate::with_hooks!(hook_methods);

impl<'a> From<Context<'a>> for HelloContext<'a> {
    fn from(context: Context<'a>) -> Self {
        HelloContext(context)
    }
}

impl<'a> From<Context<'a>> for MailContext<'a> {
    fn from(context: Context<'a>) -> Self {
        MailContext(context)
    }
}

impl<'a> From<Context<'a>> for RcptContext<'a> {
    fn from(context: Context<'a>) -> Self {
        RcptContext(context)
    }
}

impl<P: 'static> Hooks<P> {
    fn on<F>(&mut self, hook: Hook, run: F)
    where
        F: for<'a> Fn(Rc<P>, Rc<str>, &'a dyn SessionAccess, &'a HookCall) -> Hooked<'a> + 'static,
    {
        let (plugin, name) = (self.plugin.clone(), self.name.clone());
        self.handlers.push(Handler {
            plugin: self.name.clone(),
            hook,
            run: Rc::new(move |session, call| run(plugin.clone(), name.clone(), session, call)),
        });
    }
}

type Load = fn(&str, &PluginArgs, &ConfigDir) -> Result<Vec<Handler>, PluginError>;

/// The native plugins that config/plugins may name.
#[derive(Clone, Default)]
pub struct Registry {
    known: BTreeMap<&'static str, Load>,
    twins: BTreeMap<&'static str, TwinEntry>,
}

impl Registry {
    /// Makes a plugin known.
    pub fn add<P: Plugin>(&mut self) {
        self.known.insert(P::NAME, load::<P>);
    }

    /// Makes known a plugin that may stand in a Perl plugin's place.
    pub(crate) fn add_twin<T: Twin>(&mut self) {
        self.twins.insert(T::NAME, TwinEntry::of::<T>());
    }

    /// The plugin of this name, if it may stand in a Perl plugin's place.
    pub(crate) fn twin(&self, name: &str) -> Option<TwinEntry> {
        self.twins.get(name).copied()
    }

    /// The names of all of them.
    pub(crate) fn twins(&self) -> impl Iterator<Item = &'static str> {
        self.twins.keys().copied()
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        let all: std::collections::BTreeSet<_> =
            self.known.keys().chain(self.twins.keys()).collect();
        all.into_iter().copied()
    }

    /// Loads `native/NAME ARGS` and gives its hooks.
    pub fn load(
        &self,
        name: &str,
        args: &PluginArgs,
        config: &ConfigDir,
    ) -> Result<Vec<Handler>, PluginError> {
        match self.known.get(name) {
            Some(load) => load(&format!("native/{name}"), args, config),
            None => {
                let known: Vec<_> = self.names().map(|name| format!("native/{name}")).collect();
                Err(PluginError(format!(
                    "there is no such native plugin; there are: {}",
                    known.join(", ")
                )))
            }
        }
    }
}

fn load<P: Plugin>(
    name: &str,
    args: &PluginArgs,
    config: &ConfigDir,
) -> Result<Vec<Handler>, PluginError> {
    let plugin = Rc::new(P::load(args, config)?);
    let mut hooks = Hooks {
        name: Rc::from(name),
        plugin,
        handlers: Vec::new(),
    };
    P::register(&mut hooks);
    Ok(hooks.handlers)
}

/// The hooks of the native plugins that are loaded; an id is the place in the table.
#[derive(Clone, Default)]
pub struct Natives {
    handlers: Vec<Handler>,
    by_hook: BTreeMap<Hook, Vec<i32>>,
}

impl Natives {
    /// Adds a hook and gives its id.
    pub fn add(&mut self, handler: Handler) -> i32 {
        let id = i32::try_from(self.handlers.len()).unwrap_or(i32::MAX);
        self.by_hook.entry(handler.hook).or_default().push(id);
        self.handlers.push(handler);
        id
    }

    /// The ids of a hook's handlers, in the order of their lines.
    pub fn of(&self, hook: Hook) -> &[i32] {
        self.by_hook.get(&hook).map_or(&[], Vec::as_slice)
    }

    /// Lets the guards know which plugin is called in which hooks.
    pub fn note_hooks(&self, guards: &Guards) {
        for handler in &self.handlers {
            let name = handler.plugin.as_bytes().to_vec();
            guards.note_hook(handler.hook, std::iter::once(name));
        }
    }

    /// Whether any plugin is registered for a hook.
    pub fn has_entries(&self, hook: Hook) -> bool {
        self.by_hook.contains_key(&hook)
    }

    /// The hook with this id.
    pub fn get(&self, id: i32) -> Option<Handler> {
        usize::try_from(id)
            .ok()
            .and_then(|id| self.handlers.get(id))
            .cloned()
    }
}
