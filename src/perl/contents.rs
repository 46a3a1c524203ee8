//! Session-scoped contents of plugin objects. A plugin object keeps its identity; in a session
//! it holds a deep copy of what it held when it was loaded, made at its first call there, so
//! that nothing one client's session leaves in it reaches the next client's.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;

use rustc_hash::FxHashMap;

use super::sys;
use super::value::Sv;
use crate::mail::{Note, Notes};
use crate::plugin::Guard;

/// Containers with more elements than this are shared instead of copied.
const LARGEST_COPY: usize = 10_000;

/// The plugin objects whose contents are the running session's own.
#[derive(Default)]
pub struct Contents {
    /// Whose hook a code reference is, by the code's address.
    owners: RefCell<FxHashMap<usize, Rc<Owner>>>,
    /// Those of them that came in the running session, with which they go.
    late: RefCell<Vec<usize>>,
    active: RefCell<Option<FxHashMap<usize, Kept>>>,
    /// An empty map for the next turn.
    unused: RefCell<FxHashMap<usize, Kept>>,
    /// Plugin objects that came in the running session.
    guests: RefCell<Vec<usize>>,
    /// Copies that a session has left as they were, for the next one.
    spares: RefCell<FxHashMap<usize, Spare>>,
    /// The running session's number.
    session: Cell<u64>,
    /// How many sessions there were.
    count: Cell<u64>,
}

/// A hook that a plugin registered.
pub struct Owner {
    pub plugin: Sv,
    /// The method's name, or a code reference.
    pub method: Sv,
    pub hook: Sv,
    /// Keeps the code alive, and so its address its own.
    _code: Sv,
    /// What holds for its calls, once it was called.
    pub guard: OnceCell<Rc<Guard>>,
    /// The last session in which the plugin was entered for this hook.
    entered: Cell<u64>,
}

struct Kept {
    plugin: Sv,
    /// A plain hash: holds what the plugin held when it was loaded, and the session's contents
    /// while another session has its turn.
    other: Sv,
    /// Large containers of it that are shared.
    shared: usize,
}

/// A session's contents while another session has its turn.
#[derive(Default)]
pub(super) struct Aside {
    kept: Vec<(usize, Kept)>,
    late: Vec<usize>,
    guests: Vec<usize>,
}

struct Spare {
    copy: Sv,
    shared: usize,
}

impl Contents {
    /// From now on plugins get contents of their own; the qp object at once.
    pub fn begin_session(&self, qp: &Sv) {
        self.end_session();
        self.count.set(self.count.get() + 1);
        self.session.set(self.count.get());
        *self.active.borrow_mut() = Some(FxHashMap::default());
        self.enter(qp);
    }

    /// Says whose hook a code reference is.
    pub fn own(&self, code: &Sv, plugin: &Sv, method: &Sv, hook: &Sv) {
        // An object of another form, or with code of its own behind its keys, has no contents.
        if let Some(sub) = code.referent()
            && plugin.is_plain_hash()
        {
            let owner = Owner {
                plugin: Sv::copied(plugin.raw()),
                method: method.copied_as_key(),
                hook: Sv::copied(hook.raw()),
                _code: sub.clone(),
                guard: OnceCell::new(),
                entered: Cell::new(0),
            };
            let key = sub.raw() as usize;
            self.owners.borrow_mut().insert(key, Rc::new(owner));
            if self.active.borrow().is_some() {
                self.late.borrow_mut().push(key);
                self.guests.borrow_mut().extend(plugin.address());
            }
        }
    }

    /// Before a call of a hook's code: whose it is, if a plugin registered it, and how many
    /// large containers of that plugin were shared just now.
    pub fn enter_hook(&self, code: &Sv) -> Option<(Rc<Owner>, usize)> {
        let owner = self.owners.borrow().get(&code.address()?).cloned()?;
        let session = self.session.get();
        let shared = match owner.entered.replace(session) == session {
            true => 0,
            false => self.enter(&owner.plugin),
        };
        Some((owner, shared))
    }

    /// Before a call of the plugin. Returns how many large containers were shared.
    fn enter(&self, plugin: &Sv) -> usize {
        let Some(object) = plugin.referent() else {
            return 0;
        };
        let key = object.raw() as usize;
        let mut active = self.active.borrow_mut();
        let Some(active) = active.as_mut() else {
            return 0;
        };
        if active.contains_key(&key) {
            return 0;
        }
        let Some(Spare { copy, shared }) = self.copy_of(plugin, key) else {
            return 0;
        };
        // SAFETY: a live plugin object, which is a blessed hash; the copy is a plain hash, and
        // exchanging the contents of the two frees nothing.
        unsafe {
            sys::cp_swap_contents(plugin.raw(), copy.raw());
            sys::cp_put_back_localized(plugin.raw(), copy.raw(), LARGEST_COPY);
        }
        let kept = Kept {
            plugin: plugin.clone(),
            other: copy,
            shared,
        };
        active.insert(key, kept);
        shared
    }

    fn copy_of(&self, plugin: &Sv, key: usize) -> Option<Spare> {
        if let Some(spare) = self.spares.borrow_mut().remove(&key) {
            return Some(spare);
        }
        let mut shared = 0;
        // SAFETY: a live plugin object, which is a blessed hash.
        let copy = unsafe { sys::cp_copy_contents(plugin.raw(), LARGEST_COPY, &mut shared) };
        Sv::own(copy).map(|copy| Spare { copy, shared })
    }

    /// A session's connection begins with the notes that plugins left on the connection they saw
    /// when they were loaded: each session has its own copy.
    pub fn copy_notes(from: &Notes, to: &Notes) {
        for key in from.keys() {
            let Some(note) = from.get(&key) else {
                continue;
            };
            if !matches!(note, Note::Foreign(_)) {
                to.set(&key, note);
                continue;
            }
            // In a hash of its own, since contents are what can be copied.
            let holder = Sv::hash_ref();
            holder.hash_set(b"note", Sv::from_note(&note));
            let mut shared = 0;
            // SAFETY: a reference to a live plain hash; the copy is a new hash.
            let copy = unsafe { sys::cp_copy_contents(holder.raw(), LARGEST_COPY, &mut shared) };
            let copy = Sv::own(copy).map(|copy| copy.reference());
            if let Some(value) = copy.and_then(|copy| copy.hash_get("note")) {
                to.set(&key, value.to_note());
            }
        }
    }

    /// The plugins hold again what they held before the session.
    pub fn end_session(&self) {
        for key in self.late.take() {
            self.owners.borrow_mut().remove(&key);
        }
        let guests = self.guests.take();
        let kept = self.active.borrow_mut().take();
        for (key, kept) in kept.into_iter().flatten() {
            kept.swap();
            // The session's contents are released at the next safe point where they cannot serve
            // again.
            if !guests.contains(&key) && kept.renew(Renew::Changed) {
                self.keep_spare(key, kept);
            }
        }
    }

    /// Another session's turn: the plugins hold what they held when they were loaded. What the
    /// session has not changed needs no place of its own.
    pub(super) fn set_aside(&self) -> Aside {
        let guests = self.guests.take();
        let mut all = self.active.borrow_mut().take().unwrap_or_default();
        let mut kept = Vec::new();
        for (key, plugin) in all.drain() {
            plugin.swap();
            match !guests.contains(&key) && plugin.renew(Renew::Same) {
                true => self.keep_spare(key, plugin),
                false => kept.push((key, plugin)),
            }
        }
        *self.unused.borrow_mut() = all;
        self.session.set(0);
        kept.shrink_to_fit();
        Aside {
            kept,
            late: self.late.take(),
            guests,
        }
    }

    /// The session's turn again.
    pub(super) fn bring_back(&self, aside: Aside, qp: &Sv) {
        let mut all = self.unused.take();
        for (key, plugin) in aside.kept {
            plugin.swap();
            all.insert(key, plugin);
        }
        *self.active.borrow_mut() = Some(all);
        self.late.replace(aside.late);
        self.guests.replace(aside.guests);
        // With a number of its own each turn enters the plugins anew.
        self.count.set(self.count.get() + 1);
        self.session.set(self.count.get());
        self.enter(qp);
    }

    fn keep_spare(&self, key: usize, kept: Kept) {
        let Kept { other, shared, .. } = kept;
        let spare = Spare {
            copy: other,
            shared,
        };
        self.spares.borrow_mut().insert(key, spare);
    }
}

/// When a copy can serve again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Renew {
    /// Where nothing has been changed.
    Same,
    /// Where what was changed can be set back.
    Changed,
}

impl Kept {
    /// Exchanges what the plugin holds with what is kept for it.
    fn swap(&self) {
        // SAFETY: both live, a plugin object and a plain hash; exchanging their contents frees
        // nothing and runs no Perl code.
        unsafe { sys::cp_swap_contents(self.plugin.raw(), self.other.raw()) }
    }

    /// Whether the kept contents are fit to be another session's.
    fn renew(&self, when: Renew) -> bool {
        let same_only = (when == Renew::Same).into();
        // SAFETY: both live; setting back frees plain values only.
        unsafe { sys::cp_renew_contents(self.other.raw(), self.plugin.raw(), same_only) != 0 }
    }
}
