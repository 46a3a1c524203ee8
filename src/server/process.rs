//! The few calls of this layer for which no safe interface exists: fork, signal dispositions,
//! the user and group databases, `_exit`, shared memory, the store's environment,
//! who is at the other end of a socket, and tokio's readiness of a descriptor. Nothing else may be unsafe in `src/server`.
//! It decides nothing: who is forked and when is the zygote's business.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;
use std::sync::atomic::AtomicU8;

use rustix::process::{Gid, Pid, Signal, Uid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::ipc::channel::Channel;
use crate::watch::{Ledger, Page};

/// A user of this machine, as the user database gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UserEntry {
    pub name: String,
    pub uid: Uid,
    pub gid: Gid,
    /// Home directory and shell; none where the database has no such entry.
    pub home: OsString,
    pub shell: OsString,
}

/// Types that own one open descriptor for as long as they live and give the same one each time.
pub trait OwnsDescriptor: AsRawFd {}

impl OwnsDescriptor for OwnedFd {}
impl OwnsDescriptor for Rc<OwnedFd> {}
impl OwnsDescriptor for Channel {}

/// A descriptor whose readiness can be awaited; to be called inside a runtime. Blocking calls say MSG_DONTWAIT.
pub fn readiness<T: OwnsDescriptor>(owner: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    // SAFETY: the three types of OwnsDescriptor above own their descriptor until they are
    // dropped, which the AsyncFd does after it has deregistered, and have no way to change it.
    unsafe { AsyncFd::register_with_interest(owner, interest) }.map_err(io::Error::from)
}

/// Forks. Gives the child's pid in the parent and `None` in the child.
///
/// The caller must have one thread only: the child of a process with several would find locks
/// held by threads that it does not have.
pub(crate) fn fork() -> io::Result<Option<Pid>> {
    // SAFETY: fork takes nothing. Both callers (the zygote before it serves, `serve --detach`
    // before its runtime exists) have one thread, so the child may go on in ordinary code.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(Pid::from_raw(pid)),
    }
}

/// Forks for a session, as `fork` does.
///
/// The child must not go back to the runtime that it was forked with, and has to end with
/// `exit_now`.
pub fn fork_session() -> io::Result<Option<Pid>> {
    // A plugin may have started one of its own.
    if threads() > 1 {
        return Err(io::Error::other("another thread of this process runs"));
    }
    // SAFETY: fork takes nothing. This process has one thread, as was seen just now, and only threads
    // make others. The child goes on in ordinary code with a runtime of its own.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(Pid::from_raw(pid)),
    }
}

/// How many threads this process has.
pub(crate) fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count)
}

/// A thread that no signal is delivered to: perl's handlers belong to the thread that perl runs in.
pub fn spawn_without_signals(
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> io::Result<std::thread::JoinHandle<()>> {
    let mut all = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigfillset fills what `all` points to, pthread_sigmask reads that and fills `before`.
    let blocked = unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr())
    };
    if blocked != 0 {
        return Err(io::Error::from_raw_os_error(blocked));
    }
    // A thread begins with the mask of the one that starts it.
    let started = std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work);
    // SAFETY: `before` was filled above.
    unsafe {
        libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut());
    }
    started
}

/// How many processes and threads may read the store at once.
const STORE_READERS: u32 = 4096;

/// Opens the embedded store's environment, for so many bytes.
pub fn open_store(dir: &std::path::Path, size: usize) -> heed::Result<heed::Env> {
    let mut options = heed::EnvOpenOptions::new();
    options.map_size(size).max_readers(STORE_READERS);
    // SAFETY: without that flag's sync a lost power takes back the last commit, and leaves the one before it, whole
    // (store/embedded.rs).
    unsafe { options.flags(heed::EnvFlags::NO_META_SYNC) };
    // SAFETY: the file is mapped, and nobody but LMDB writes to it: its directory is the service user's alone
    // (0700). heed opens an environment once in a process; one that a fork has carried along is closed before
    // (store/embedded.rs), and no other thread runs where that is.
    unsafe { options.open(dir) }
}

/// Closes descriptors whose owners live on in the process that this one was forked from, and are
/// never dropped here.
pub fn close_forgotten(descriptors: &[RawFd]) {
    for descriptor in descriptors {
        // SAFETY: close takes any number and touches no memory. The owner in this process is
        // forgotten by the caller: it neither uses the number again nor closes it.
        unsafe {
            libc::close(*descriptor);
        }
    }
}

/// No program that this process starts has what was open above the standard descriptors when this
/// one began: not even what a plugin could open again by its number. Nothing is closed here, for
/// sockets that are passed are among them.
pub(crate) fn keep_descriptors() -> io::Result<()> {
    // SAFETY: close_range with CLOSE_RANGE_CLOEXEC only sets a flag on open descriptors; it takes
    // numbers, and touches no memory.
    let done = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            FIRST_INHERITED,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    if done == 0 {
        return Ok(());
    }
    // Before Linux 5.11.
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        let number: Option<RawFd> = name.to_str().and_then(|name| name.parse().ok());
        if let Some(number) = number.filter(|number| *number >= FIRST_INHERITED) {
            // SAFETY: fcntl(F_SETFD) takes any number and touches no memory.
            unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
    Ok(())
}

/// The first descriptor that a service manager passes.
pub(crate) const FIRST_INHERITED: i32 = 3;

/// Takes the descriptors from `FIRST_INHERITED` on; the error is the first that is not open. To be
/// called once, before this process opens any.
pub(crate) fn inherited(count: usize) -> Result<Vec<OwnedFd>, i32> {
    (FIRST_INHERITED..)
        .take(count)
        .map(|number| {
            // SAFETY: fcntl(F_GETFD) takes any number and touches no memory.
            if unsafe { libc::fcntl(number, libc::F_GETFD) } == -1 {
                return Err(number);
            }
            // SAFETY: it is open, as was just seen, and nobody else owns it: it was there before
            // this program began, which has opened none below it since and calls this once.
            Ok(unsafe { OwnedFd::from_raw_fd(number) })
        })
        .collect()
}

/// The memory of this process's command line, which `ps` shows. Who writes there changes what
/// `std::env::args_os` gives from then on.
pub(crate) fn argument_memory() -> Option<&'static [AtomicU8]> {
    let stat = String::from_utf8_lossy(&std::fs::read("/proc/self/stat").ok()?).into_owned();
    // arg_start and arg_end, fields 48 and 49; the second is a name, which may have anything in it.
    let mut fields = stat.rsplit(')').next()?.split_whitespace().skip(45);
    let mut next = || fields.next()?.parse::<usize>().ok();
    let (start, end) = (next()?, next()?);
    let len = end.checked_sub(start).filter(|_| start > 0)?;
    let start = std::ptr::with_exposed_provenance(start);
    // SAFETY: the kernel put the words there, in memory of the stack that can be written and is never given back;
    // all values of bytes are valid, and std, which copies them in `args_os`, holds no references to them.
    Some(unsafe { std::slice::from_raw_parts(start, len) })
}

/// Who made the other end of a Unix socket listen, as the kernel noted it then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer {
    /// None where this process cannot see that one: it is in a container.
    pub pid: Option<i32>,
    pub uid: Uid,
}

/// See [`Peer`]. (rustix has this with a pid that must not be 0, which the kernel gives.)
pub(crate) fn peer(socket: &impl AsFd) -> io::Result<Peer> {
    let mut found = libc::ucred {
        pid: 0,
        uid: libc::uid_t::MAX,
        gid: libc::gid_t::MAX,
    };
    let mut len = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: `found` is valid for writing `len` bytes, its size, and any bytes are a ucred; the
    // descriptor is open for the time of the call.
    let status = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut found).cast(),
            &mut len,
        )
    };
    if status == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(Peer {
        pid: (found.pid > 0).then_some(found.pid),
        uid: Uid::from_raw(found.uid),
    })
}

/// Ends the process at once: neither exit handlers nor destructors run, which belong to the
/// process that was forked from.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: _exit takes an int, touches no memory and does not return.
    unsafe { libc::_exit(status) }
}

extern "C" fn do_nothing(_signal: libc::c_int) {}

/// Handles SIGPIPE by a function that does nothing. Ignoring it instead would pass through
/// exec to every program that a plugin starts.
pub fn catch_sigpipe() {
    set_disposition(libc::SIGPIPE, do_nothing as *const () as libc::sighandler_t);
}

/// What a worker starts with: default dispositions of the signals that a daemon's parent
/// handles, and none blocked.
pub(crate) fn reset_signals() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGCHLD] {
        set_disposition(signal, libc::SIG_DFL);
    }
    // SAFETY: the set is initialised by sigemptyset before it is read; the old set is not
    // asked for. Both pointers are valid for the time of the calls.
    unsafe {
        let mut none = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut());
    }
}

fn set_disposition(signal: libc::c_int, handler: libc::sighandler_t) {
    // SAFETY: an all-zero sigaction is valid (no flags, empty mask); the handler is SIG_DFL or
    // `do_nothing`, which is async-signal-safe because it does nothing.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(signal, &action, std::ptr::null_mut());
    }
}

/// The user with this name, if there is one.
pub(crate) fn user_by_name(name: &str) -> io::Result<Option<UserEntry>> {
    let Ok(name) = CString::new(name) else {
        return Ok(None);
    };
    // SAFETY: `name` is a valid C string, the other pointers are those that `user_entry` gives.
    user_entry(|entry, buffer, len, found| unsafe {
        libc::getpwnam_r(name.as_ptr(), entry, buffer, len, found)
    })
}

/// The user with this number, if it has a name.
pub(crate) fn user_by_id(uid: Uid) -> io::Result<Option<UserEntry>> {
    // SAFETY: the pointers are those that `user_entry` gives.
    user_entry(|entry, buffer, len, found| unsafe {
        libc::getpwuid_r(uid.as_raw(), entry, buffer, len, found)
    })
}

fn user_entry(
    look_up: impl Fn(*mut libc::passwd, *mut libc::c_char, usize, *mut *mut libc::passwd) -> libc::c_int,
) -> io::Result<Option<UserEntry>> {
    let mut buffer: Vec<libc::c_char> = vec![0; 1024];
    loop {
        let mut entry = std::mem::MaybeUninit::<libc::passwd>::uninit();
        let mut found = std::ptr::null_mut();
        match look_up(
            entry.as_mut_ptr(),
            buffer.as_mut_ptr(),
            buffer.len(),
            &mut found,
        ) {
            0 if found.is_null() => return Ok(None),
            0 => {
                // SAFETY: on success with a result, `found` points to `entry`, which is filled
                // in; its names are C strings inside `buffer`, which lives until the copies are made.
                let (entry, [name, home, shell]) = unsafe {
                    let entry = entry.assume_init();
                    let texts = [entry.pw_name, entry.pw_dir, entry.pw_shell];
                    (entry, texts.map(|text| CStr::from_ptr(text).to_owned()))
                };
                let text = |text: &CStr| OsStr::from_bytes(text.to_bytes()).to_owned();
                return Ok(Some(UserEntry {
                    name: name.to_string_lossy().into_owned(),
                    uid: Uid::from_raw(entry.pw_uid),
                    gid: Gid::from_raw(entry.pw_gid),
                    home: text(&home),
                    shell: text(&shell),
                }));
            }
            libc::ERANGE if buffer.len() < 1 << 20 => buffer.resize(buffer.len() * 4, 0),
            // Some libraries give these where there is no such entry.
            libc::ENOENT | libc::ESRCH => return Ok(None),
            error => return Err(io::Error::from_raw_os_error(error)),
        }
    }
}

/// The name of a group, if it has one.
pub(crate) fn group_name(gid: Gid) -> Option<String> {
    let mut buffer: Vec<libc::c_char> = vec![0; 1024];
    loop {
        let mut entry = std::mem::MaybeUninit::<libc::group>::uninit();
        let mut found = std::ptr::null_mut();
        // SAFETY: all pointers are valid for the call, and the length is the buffer's.
        let status = unsafe {
            libc::getgrgid_r(
                gid.as_raw(),
                entry.as_mut_ptr(),
                buffer.as_mut_ptr(),
                buffer.len(),
                &mut found,
            )
        };
        match status {
            0 if !found.is_null() => {
                // SAFETY: `found` points to `entry`, filled in; gr_name is a C string inside
                // `buffer`, which lives until the copy is made.
                let name = unsafe { CStr::from_ptr(entry.assume_init().gr_name).to_owned() };
                return Some(name.to_string_lossy().into_owned());
            }
            libc::ERANGE if buffer.len() < 1 << 20 => buffer.resize(buffer.len() * 4, 0),
            _ => return None,
        }
    }
}

/// All groups of a user: the one of its entry and those that name it.
pub(crate) fn groups_of(user: &UserEntry) -> io::Result<Vec<Gid>> {
    let name = CString::new(user.name.as_str())?;
    let mut groups: Vec<libc::gid_t> = vec![0; 64];
    loop {
        let mut count = libc::c_int::try_from(groups.len()).unwrap_or(libc::c_int::MAX);
        // SAFETY: `groups` has room for `count` entries; `name` is a valid C string.
        let status = unsafe {
            libc::getgrouplist(
                name.as_ptr(),
                user.gid.as_raw(),
                groups.as_mut_ptr(),
                &mut count,
            )
        };
        let needed = usize::try_from(count).unwrap_or(0);
        if status >= 0 {
            groups.truncate(needed);
            return Ok(groups.into_iter().map(Gid::from_raw).collect());
        }
        if needed <= groups.len() {
            return Err(io::Error::other(
                "the group database gave no list of groups",
            ));
        }
        groups.resize(needed, 0);
    }
}

/// The signal that tells a worker to look at its page: ignored where nobody handles it.
pub(in crate::server) const INTERRUPT: Signal = Signal::URG;

/// Has the interrupts of this process's plugin calls taken by `take`, which gets the signal's
/// number and the descriptor to write to, an eventfd: the result. To be called inside a runtime.
pub fn wake_by_interrupt(
    take: impl FnOnce(i32, BorrowedFd<'static>) -> io::Result<()>,
) -> io::Result<AsyncFd<BorrowedFd<'static>>> {
    use rustix::event::{EventfdFlags, eventfd};
    let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    // SAFETY: the descriptor is given up here and so stays open to the process's end.
    let wake = unsafe { BorrowedFd::borrow_raw(wake.into_raw_fd()) };
    take(INTERRUPT.as_raw(), wake)?;
    // SAFETY: the same descriptor for ever, which is never closed.
    unsafe { AsyncFd::register_with_interest(wake, Interest::READABLE) }.map_err(io::Error::from)
}

/// What may lie in memory that processes share: atomics only, for which all bytes are valid, and
/// zeroed memory is a value to begin with.
pub(crate) trait Sharable: Sync + 'static {
    /// The name of the memory, for those who look at a process.
    const NAME: &'static str;
}

impl Sharable for Page {
    const NAME: &'static str = "camelpost-page";
}

impl Sharable for Ledger {
    const NAME: &'static str = "camelpost-ledger";
}

/// Shared memory as this process has it mapped, until it is dropped.
pub(crate) struct Shared<T: Sharable>(std::ptr::NonNull<T>);

/// A worker's page.
pub(crate) type SharedPage = Shared<Page>;

/// What the workers of a generation share.
pub(crate) type SharedLedger = Shared<Ledger>;

impl<T: Sharable> Shared<T> {
    /// New memory, of a size that nobody can change.
    pub(crate) fn create() -> io::Result<OwnedFd> {
        use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let memory = memfd_create(T::NAME, flags)?;
        ftruncate(&memory, size_of::<T>() as u64)?;
        fcntl_add_seals(
            &memory,
            SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL,
        )?;
        Ok(memory)
    }

    /// Maps what `create` made, here or in another process.
    pub(crate) fn map(memory: &OwnedFd) -> io::Result<Shared<T>> {
        use rustix::fs::{SealFlags, fcntl_get_seals, fstat};
        use rustix::mm::{MapFlags, ProtFlags, mmap};
        let sealed = fcntl_get_seals(memory)?.contains(SealFlags::SHRINK);
        if !sealed || fstat(memory)?.st_size != size_of::<T>() as i64 {
            let problem = format!("this is no memory of the kind {}", T::NAME);
            return Err(io::Error::other(problem));
        }
        let (access, shared) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: a new mapping at an address that the kernel chooses.
        let memory = unsafe {
            mmap(
                std::ptr::null_mut(),
                size_of::<T>(),
                access,
                shared,
                memory,
                0,
            )?
        };
        let shared = std::ptr::NonNull::new(memory.cast());
        shared
            .map(Shared)
            .ok_or_else(|| io::Error::other("mapped at address 0"))
    }

    /// The memory for the rest of the process's life.
    pub(crate) fn keep(self) -> &'static T {
        let shared = self.0;
        std::mem::forget(self);
        // SAFETY: as in `deref`; the mapping is never undone.
        unsafe { shared.as_ref() }
    }
}

impl<T: Sharable> std::ops::Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the mapping has the type's size, which its seals keep, and begins at a multiple
        // of the system's page size; a Sharable is atomics only, for which all bytes are valid, so
        // that another process may write to it at any time.
        unsafe { self.0.as_ref() }
    }
}

impl<T: Sharable> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: `map` has made this mapping, and references to it end with `self`.
        let _ = unsafe { rustix::mm::munmap(self.0.as_ptr().cast(), size_of::<T>()) };
    }
}
