//! [`Hook`], as the table of hooks has it.

use super::method::Method;
use super::table::{Facts, Kind, with_hooks};
use super::verdict::Code;

macro_rules! hooks {
    ($($variant:ident {
        $name:literal, $when:literal,
        args [$(($arg:literal, $kind:ident)),*],
        verdicts [$($verdict:ident),*], default $default:literal,
        responder [$($responder:ident)?], native [$mode:ident $on:ident $context:ident]
    })*) => {
        /// A hook of qpsmtpd 0.94 or 1.00. `name` is what `register_hook` takes (`pre-connection`),
        /// and `hook_` with underscores for all else is the Perl method's (`hook_pre_connection`).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Hook { $(#[doc = $when] $variant,)* }

        impl Hook {
            /// All hooks, in the order in which a plugin's `hook_*` methods are registered.
            pub const ALL: &'static [Hook] = &[$(Hook::$variant,)*];

            /// The name as `register_hook` takes it.
            pub const fn name(self) -> &'static str {
                match self { $(Hook::$variant => $name,)* }
            }

            /// What the table says of it.
            pub fn facts(self) -> &'static Facts {
                match self { $(Hook::$variant => {
                    static FACTS: Facts = Facts {
                        name: $name,
                        when: $when,
                        args: &[$(($arg, Kind::$kind)),*],
                        verdicts: &[$(Code::$verdict),*],
                        default: $default,
                        responder: responder!($($responder)?),
                    };
                    &FACTS
                })* }
            }
        }
    };
}

macro_rules! responder {
    () => {
        None
    };
    ($method:ident) => {
        Some(Method::$method)
    };
}

with_hooks!(hooks);

impl Hook {
    /// The mechanisms of AUTH that have a hook of their own.
    pub const AUTH_MECHANISMS: [(Hook, &'static str); 3] = [
        (Hook::AuthPlain, "PLAIN"),
        (Hook::AuthLogin, "LOGIN"),
        (Hook::AuthCramMd5, "CRAM-MD5"),
    ];

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

impl Method {
    /// What does with a hook's verdict what its place in the session asks for.
    pub fn responder(hook: Hook) -> Option<Method> {
        hook.facts().responder
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
