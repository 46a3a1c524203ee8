//! The environment that plugins and the programs that they start find: what root's shell has set is
//! none of their business where the user is changed, and what changes the meaning of a program's
//! name is nobody's. perl's own variables are perl's: they are left.

#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use super::privileges::ServiceUser;
use crate::server::front::activation;
use crate::server::service::notify;
use crate::server::service::upgrade;

/// For shells; they run, read or split by what these say.
const OF_SHELLS: [&str; 4] = ["ENV", "BASH_ENV", "IFS", "CDPATH"];

/// Where programs are, whoever starts the service: as in the original's forkserver. Perl plugins get
/// the same from perl/Camelpost/Usual.pm, which `camelpost inetd` runs, too.
const PATH: &str = "/bin:/usr/bin:/var/qmail/bin";

/// For the dynamic loader (ld.so(8)): code of somebody's choice in each program.
const OF_THE_LOADER: &[u8] = b"LD_";

/// Has the process that loads the plugins started with what they may have.
pub(in crate::server) fn for_plugins(command: &mut Command, user: &ServiceUser) {
    let ours = activation::VARIABLES.iter().chain(&notify::VARIABLES);
    for name in ours.chain(&[upgrade::VARIABLE]) {
        command.env_remove(name);
    }
    clean(command);
    command.envs(user.variables_of_plugins());
}

/// The same for another supervisor, which does not change the user and so cannot see that it was.
pub(in crate::server) fn for_successor(command: &mut Command, user: &ServiceUser) {
    clean(command);
    command.envs(user.variables());
}

fn clean(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if is_dangerous(&name) {
            command.env_remove(name);
        }
    }
    command.env("PATH", PATH);
}

fn is_dangerous(name: &OsStr) -> bool {
    OF_SHELLS.iter().any(|known| name == *known) || name.as_bytes().starts_with(OF_THE_LOADER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shells_and_the_loader_obey_is_dangerous_and_perl_s_is_not() {
        for name in ["IFS", "ENV", "LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT"] {
            assert!(is_dangerous(OsStr::new(name)), "{name}");
        }
        for name in ["PERL5LIB", "PERL5OPT", "HOME", "OLD_PWD", "QPSMTPD_CONFIG"] {
            assert!(!is_dangerous(OsStr::new(name)), "{name}");
        }
    }
}
