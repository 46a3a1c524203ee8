//! What belongs to the site's Perl code: the files and packages of its plugins, its modules, the plugin
//! objects. Their variables are found once, when all plugins are loaded, and noted: that is what each
//! session begins with. Does not exchange anything (`exchange.rs`).

use std::cell::{Cell, RefCell};
use std::ffi::CStr;
use std::os::unix::ffi::OsStrExt;

use crate::perl::ffi::call::{Want, call_function};
use crate::perl::ffi::sys;
use crate::perl::ffi::value::Sv;
use crate::watch::Unfit;

/// Packages of the host's own whose variables plugins may set.
const OWN_PACKAGES: [&CStr; 9] = [
    c"Qpsmtpd",
    c"Qpsmtpd::Address",
    c"Qpsmtpd::Base",
    c"Qpsmtpd::Config",
    c"Qpsmtpd::Constants",
    c"Qpsmtpd::DB",
    c"Qpsmtpd::SMTP",
    c"Qpsmtpd::TcpServer",
    c"Qpsmtpd::Utils",
];

/// The site's variables: which they are, and whose.
#[derive(Default)]
pub(crate) struct Site {
    /// The plugins' names in the table of hooks, by their numbers; the first stands for none.
    owners: RefCell<Vec<Vec<u8>>>,
    packages: RefCell<Vec<(Vec<u8>, u16)>>,
    files: RefCell<Vec<(Vec<u8>, u16)>>,
    objects: RefCell<Vec<(Sv, u16)>>,
    noted: Cell<bool>,
}

impl Site {
    fn owner(&self, name: &[u8]) -> u16 {
        let mut owners = self.owners.borrow_mut();
        if owners.is_empty() {
            owners.push(Vec::new());
        }
        let known = owners.iter().position(|known| known == name);
        let number = known.unwrap_or_else(|| {
            owners.push(name.to_vec());
            owners.len() - 1
        });
        u16::try_from(number).unwrap_or(0)
    }

    /// The plugins that have to do with a variable of a package: its owner, and those whose text names
    /// the package, as it may be a module's.
    fn users_of(&self, owner: i64, package: &str) -> Vec<Vec<u8>> {
        let mut users = vec![self.name_of(owner)];
        for (file, other) in &*self.files.borrow() {
            let name = self.name_of((*other).into());
            if package.is_empty() || users.contains(&name) {
                continue;
            }
            let text = std::fs::read(std::ffi::OsStr::from_bytes(file)).unwrap_or_default();
            if memchr::memmem::find(&text, package.as_bytes()).is_some() {
                users.push(name);
            }
        }
        users.retain(|name| !name.is_empty());
        users
    }

    fn name_of(&self, owner: i64) -> Vec<u8> {
        let owners = self.owners.borrow();
        let name = usize::try_from(owner)
            .ok()
            .and_then(|owner| owners.get(owner));
        name.cloned().unwrap_or_default()
    }

    /// A directory with modules of the site's.
    fn add_dir(dir: &[u8]) {
        // SAFETY: the range is copied.
        unsafe { sys::cp_site_dir(dir.as_ptr().cast(), dir.len()) }
    }

    /// A plugin's text was compiled: its file, and the packages that are declared in it.
    pub(in crate::perl) fn compiled(&self, plugin: &[u8], file: &[u8], packages: Vec<Vec<u8>>) {
        let owner = self.owner(plugin);
        // SAFETY: the ranges are copied.
        unsafe { sys::cp_site_file(file.as_ptr().cast(), file.len(), owner) }
        self.files.borrow_mut().push((file.to_vec(), owner));
        let first = size();
        for package in packages {
            // SAFETY: as above.
            unsafe { sys::cp_site_package(package.as_ptr().cast(), package.len(), owner) }
            if self.noted.get() {
                // It comes in a session: what its variables hold now, before it is registered, is
                // what they hold wherever it is loaded.
                find_package(&package, owner, false);
                // SAFETY: the interpreter runs; looks at values.
                unsafe { sys::cp_note_package(package.as_ptr().cast(), package.len()) }
            } else {
                self.packages.borrow_mut().push((package, owner));
            }
        }
        if self.noted.get() {
            // SAFETY: the interpreter runs; looks at values.
            unsafe { sys::cp_exchange_note_from(first) }
        }
    }

    /// A plugin was loaded: its object, and the modules that it has brought.
    pub(in crate::perl) fn loaded(&self, plugin: &[u8], object: Option<&Sv>) {
        let owner = self.owner(plugin);
        if let Some(object) = object.filter(|object| object.is_plain_hash()) {
            self.objects.borrow_mut().push((object.clone(), owner));
        }
        if let Ok(added) = call_function("Camelpost::added_dirs", &[], Want::List) {
            added.iter().for_each(|dir| Site::add_dir(&dir.to_bytes()));
        }
        // SAFETY: the interpreter runs; looks at %INC.
        unsafe { sys::cp_site_modules(owner) }
    }
}

fn size() -> usize {
    // SAFETY: reads a number.
    unsafe { sys::cp_exchange_size() }
}

fn find_package(name: &[u8], owner: u16, keeps: bool) {
    // SAFETY: the interpreter runs; looks the package up and walks through it.
    unsafe { sys::cp_find_package(name.as_ptr().cast(), name.len(), owner, keeps.into()) }
}

/// What all else is found from, once everything is loaded.
pub(in crate::perl) struct Roots<'a> {
    /// The object of the sessions that the host runs.
    pub qp: &'a Sv,
    /// The containers of the table of hooks, which is exchanged in another way.
    pub table: Vec<Sv>,
    /// The plugin objects that have hooks.
    pub plugins: Vec<Sv>,
    /// The code of hooks.
    pub codes: Vec<Sv>,
    /// Whether the variables of a plugin, by its name, are left to the worker.
    pub keeps: &'a dyn Fn(&[u8]) -> bool,
}

impl Site {
    /// Before plugins are loaded: where the site's modules are.
    pub(in crate::perl) fn begin<'a>(&self, dirs: impl Iterator<Item = &'a Vec<u8>>) {
        dirs.for_each(|dir| {
            let end = dir.iter().rposition(|byte| *byte != b'/').unwrap_or(0);
            Site::add_dir(&dir[..=end.min(dir.len().saturating_sub(1))]);
        });
    }

    /// Everything is loaded: what the site's variables hold now is what each session begins with.
    pub(in crate::perl) fn note(&self, roots: &Roots<'_>) {
        // SAFETY: the interpreter runs, and no Perl code runs now.
        unsafe { sys::cp_find_anew() }
        skip_table(&roots.table);
        let objects = self.objects.borrow();
        let mut late = roots.plugins.clone();
        late.retain(|plugin| {
            let mut known = objects.iter().map(|(object, _)| object.address());
            !known.any(|address| address == plugin.address())
        });
        let packages = self.packages.borrow();
        let keeps = |owner: u16| (roots.keeps)(&self.name_of(owner.into()));
        for (package, owner) in packages.iter() {
            if keeps(*owner) {
                find_package(package, *owner, true);
            }
        }
        let find = |object: &Sv, owner: u16| {
            // SAFETY: a live reference.
            unsafe { sys::cp_find_object(object.raw(), owner) }
        };
        find(roots.qp, 0);
        objects
            .iter()
            .for_each(|(object, owner)| find(object, *owner));
        late.iter().for_each(|object| find(object, 0));
        for code in &roots.codes {
            // SAFETY: a live value.
            unsafe { sys::cp_find_code(code.raw(), 0) }
        }
        for (package, owner) in packages.iter() {
            if !keeps(*owner) {
                find_package(package, *owner, false);
            }
        }
        // SAFETY: the names end in NUL; walks through symbol tables, looks at values.
        unsafe {
            for package in OWN_PACKAGES {
                sys::cp_find_variables_of(package.as_ptr());
            }
            sys::cp_find_by_files();
            sys::cp_exchange_note();
        }
        let destroyed = objects.iter().map(|(object, _)| object.clone());
        let list = Sv::array_of(destroyed.chain(late));
        if let Some(list) = list.referent() {
            // SAFETY: an array of references, which the glue takes over.
            unsafe { sys::cp_ends_of(list.into_raw()) }
        }
        self.noted.set(true);
    }

    /// The variables that were found to be unfit since the last time, for each plugin that has to do
    /// with them: its name, the reason, the variable.
    pub(in crate::perl) fn found_unfit(&self) -> Vec<(Vec<u8>, Unfit, String)> {
        // SAFETY: an array of the caller's, or null.
        let Some(list) = Sv::own(unsafe { sys::cp_unfit() }) else {
            return Vec::new();
        };
        let list = list.reference();
        let mut found = Vec::new();
        for entry in (0..list.array_len()).filter_map(|at| list.array_get(at)) {
            let field = |at| entry.array_get(at).unwrap_or_else(Sv::undef);
            let text = |at| String::from_utf8_lossy(&field(at).to_bytes()).into_owned();
            let (owner, variable, package) = (field(0).as_int(), text(2), text(3));
            let (why, variable) = match field(1).as_int() as u32 {
                sys::CP_UNFIT_TIED => (Unfit::Tied, variable),
                sys::CP_UNFIT_MAGICAL => (Unfit::Magical, variable),
                sys::CP_UNFIT_CODE => (Unfit::Other, format!("its sub {variable} was undefined")),
                _ => (Unfit::TooLarge, variable),
            };
            for plugin in self.users_of(owner, &package) {
                found.push((plugin, why, variable.clone()));
            }
        }
        found
    }
}

/// Nothing is found through these.
fn skip_table(containers: &[Sv]) {
    for container in containers {
        // SAFETY: a live value.
        unsafe { sys::cp_find_nothing_in(container.raw()) }
    }
    // SAFETY: looks the variable up; a live value.
    unsafe { sys::cp_find_nothing_in(sys::cp_hooks()) }
}
