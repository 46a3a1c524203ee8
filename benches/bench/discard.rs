//! The queue plugin of Kind::Native: it takes every message and keeps none, as the bench's Perl plugin does.

use camelpost::plugin::{Cx, HookResult, Hooks, LoadEnv, Plugin, PluginError, ok_with};

pub struct Discard;

impl Plugin for Discard {
    const NAME: &'static str = "bench_discard";

    type Args = ();

    fn load((): (), _: &LoadEnv<'_>) -> Result<Discard, PluginError> {
        Ok(Discard)
    }

    fn hooks(hooks: &mut Hooks<Discard>) {
        hooks.plain().queue(Discard::queue);
    }
}

impl Discard {
    fn queue(&self, _: &mut Cx<'_>) -> HookResult {
        ok_with("Queued!")
    }
}
