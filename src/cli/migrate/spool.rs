//! The spool directory of the copy: made for the service's user where it is missing, as a user who is not root cannot make one in /var/spool.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use super::report::{Item, quoted};
use super::root::{Root, plain, why};
use super::serve::Serve;
use super::source::Source;
use crate::base::user_name;

pub(super) struct Spool {
    /// By its path on its machine.
    path: PathBuf,
    real: PathBuf,
    user: String,
    /// The numbers of user and group.
    ids: Option<(u32, u32)>,
    mode: u32,
    will_be_made: bool,
    is_root: bool,
}

/// One that was made.
pub(super) struct MadeSpool(Option<PathBuf>);

impl Spool {
    pub(super) fn find(root: &Root, spool: &Path, serve: &Serve, source: &Source) -> Spool {
        let path = plain(&serve.working.join(spool));
        let real = root.real(&path);
        let number = |field| root.entry("/etc/passwd", &serve.user, field)?.parse().ok();
        let perms = source.read(Path::new("spool_perms"));
        let perms = String::from_utf8_lossy(&perms).into_owned();
        let perms = perms
            .lines()
            .find(|line| !line.trim().is_empty() && !line.starts_with('#'));
        let mode = perms.and_then(|text| u32::from_str_radix(text.trim(), 8).ok());
        let is_root = rustix::process::geteuid().is_root();
        let ids = number(2).zip(number(3));
        let has_parent = real.parent().is_some_and(Path::is_dir);
        Spool {
            will_be_made: !real.exists() && has_parent && (ids.is_some() || !is_root),
            path,
            real,
            user: serve.user.clone(),
            ids,
            mode: mode.unwrap_or(0o700),
            is_root,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What is told of it, where it is made.
    pub(super) fn item(&self) -> Option<Item> {
        let own = || user_name().unwrap_or_else(|| "this user".to_owned());
        self.will_be_made.then(|| Item::Made {
            directory: self.path.clone(),
            // Nobody but root gives it away.
            owner: if self.is_root {
                self.user.clone()
            } else {
                own()
            },
        })
    }

    /// What there is to do, where it is not.
    pub(super) fn remark(&self) -> Option<Item> {
        let text = match self.real.exists() {
            true => return None,
            false if self.will_be_made => return None,
            false => format!(
                "the spool directory is to be made: install -d -m {:04o} -o {}",
                self.mode,
                quoted(&[self.user.clone(), self.path.display().to_string()])
            ),
        };
        Some(Item::Remark { text })
    }

    /// Makes it.
    pub(super) fn make(&self) -> Result<MadeSpool, String> {
        if !self.will_be_made {
            return Ok(MadeSpool(None));
        }
        let made = fs::DirBuilder::new().mode(0o700).create(&self.real);
        let done = made.and_then(|()| match self.ids.filter(|_| self.is_root) {
            Some((user, group)) => chown(&self.real, Some(user), Some(group)),
            None => Ok(()),
        });
        let done = done
            .and_then(|()| fs::set_permissions(&self.real, fs::Permissions::from_mode(self.mode)));
        done.map_err(|error| {
            format!(
                "cannot make the spool directory {}: {}",
                self.path.display(),
                why(&error)
            )
        })?;
        Ok(MadeSpool(Some(self.real.clone())))
    }
}

impl MadeSpool {
    /// Takes it away again.
    pub(super) fn undo(&self) {
        if let Some(path) = &self.0 {
            let _ = fs::remove_dir(path);
        }
    }
}
