//! `native/auth/auth_flat_file`: lets clients in whose name and password config `flat_auth_pw` has, in lines
//! `user@domain:password`, as qpsmtpd's plugin of that name, for PLAIN, LOGIN and CRAM-MD5. A name is compared as it
//! is; the original takes it for a pattern, so that `a.b@example.com` may find the line of `axb@example.com`.

use crate::config::Profile;
use crate::hook::{Code, Verdict};
use crate::log::{LOGERROR, LOGINFO};
use crate::plugin::twin::Port;
use crate::plugin::{
    AuthCx, HookResult, Hooks, LoadEnv, Plugin, PluginError, declined, deny, ok_with,
};
use crate::plugins::list::is_true;

/// What replies begin with, as the original has the name of its file there.
const NAME: &str = "auth_flat_file";

pub(in crate::plugins) struct AuthFlatFile;

impl Plugin for AuthFlatFile {
    const NAME: &'static str = "auth/auth_flat_file";

    type Args = ();

    fn load((): (), _: &LoadEnv<'_>) -> Result<AuthFlatFile, PluginError> {
        Ok(AuthFlatFile)
    }

    fn hooks(hooks: &mut Hooks<AuthFlatFile>) {
        hooks.auth_plain(AuthFlatFile::auth);
        hooks.auth_login(AuthFlatFile::auth);
        hooks.auth_cram_md5(AuthFlatFile::auth);
    }
}

impl Port for AuthFlatFile {
    const FILES: &'static [(&'static str, Profile)] = &[
        (
            "8a105b4804d13c330b3c659efafcaf21df9121f93698d3be90148e0d5836c15c",
            Profile::V094,
        ),
        (
            "86ba6fd3b0ed000b0e8eff71ad2c89f604b349a29a9f981ba9e4544518f30ef7",
            Profile::V100,
        ),
    ];

    fn perl_args(_: &[Vec<u8>]) {}
}

impl AuthFlatFile {
    async fn auth(&self, cx: &mut AuthCx<'_>) -> HookResult {
        if cx.password().is_none() && cx.digest().is_none() {
            cx.log(LOGINFO, "fail: missing password");
            return deny("authflat - missing password");
        }
        let user = cx.user().to_vec();
        let Some(start) = start_of_line(&user) else {
            cx.log(LOGINFO, "fail: missing domain");
            return declined();
        };
        let lines = cx.config_lines("flat_auth_pw").await;
        let Some(password) = lines.iter().find_map(|line| line.strip_prefix(&start[..])) else {
            cx.log(LOGINFO, [b"fail: no such user: ", &user[..]].concat());
            return declined();
        };
        if !is_true(password) {
            cx.log(LOGINFO, "fail: missing password");
            return deny(format!("{NAME} - no such user"));
        }
        if cx.password() == Some(password) && cx.knows(password) {
            cx.log(LOGINFO, "pass: clear match");
            return ok_with(NAME);
        }
        if let Some(digest) = cx.digest() {
            if !cx.ticket().is_some_and(is_true) {
                cx.log(LOGERROR, "skip: missing ticket");
                return Ok(Verdict::with_text(Code::Declined, NAME));
            }
            // The original knows digits in lower case only.
            let is_lower = !digest.iter().any(u8::is_ascii_uppercase);
            if cx.password().is_none() && is_lower && cx.knows(password) {
                cx.log(LOGINFO, "pass: hash match");
                return ok_with(NAME);
            }
        }
        cx.log(LOGINFO, "fail: wrong password");
        deny(format!("{NAME} - wrong password"))
    }
}

/// With what a user's line begins: `user@domain:` in lower case; what stands behind another `@` does not count.
/// None for a user without a domain.
fn start_of_line(user: &[u8]) -> Option<Vec<u8>> {
    let user = user.to_ascii_lowercase();
    let mut parts = user.split(|byte| *byte == b'@');
    let (name, domain) = (parts.next()?, parts.next()?);
    let has_more = parts.any(|part| !part.is_empty());
    let is_there = !domain.is_empty() || has_more;
    is_there.then(|| [name, b"@", domain, b":"].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_a_domain() {
        let start = |user: &str| start_of_line(user.as_bytes());
        assert_eq!(start("A@Example.com").unwrap(), b"a@example.com:");
        assert_eq!(start("a@b@c").unwrap(), b"a@b:");
        assert_eq!(start("@b").unwrap(), b"@b:");
        assert_eq!(start("a"), None);
        assert_eq!(start("a@"), None);
        assert_eq!(start(""), None);
    }
}
