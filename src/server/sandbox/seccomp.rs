//! The sandbox's system calls: a list of those that no mail plugin needs and that lead out of a process, into
//! another one, or deep into the kernel. They fail with EPERM; nobody is killed for one. Everything else is
//! allowed: what a site's plugins need is not known here.
//!
//! Calls of another architecture (i386, x32) fail all of them: their numbers mean something else.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter, sock_filter,
};

/// The filter of system calls, compiled.
pub(super) type Program = BpfProgram;

/// Fail whatever their arguments are.
const REFUSED: &[i64] = &[
    // Into other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    // Another view of the file system.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    OPEN_TREE_ATTR,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_chroot,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    // Namespaces.
    libc::SYS_unshare,
    libc::SYS_setns,
    // Parts of the kernel that have often been the way in.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_lookup_dcookie,
    libc::SYS_nfsservctl,
    // The whole machine.
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_syslog,
    libc::SYS_acct,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_vhangup,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
];

/// Of Linux 6.15; the same number everywhere.
const OPEN_TREE_ATTR: i64 = 467;

/// What clone(2) must not be asked for. (A time namespace is unshare(2)'s and clone3(2)'s only.)
const NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// What sockets may be of. Netlink is how libc finds the machine's addresses.
const FAMILIES: [i32; 4] = [
    libc::AF_UNIX,
    libc::AF_INET,
    libc::AF_INET6,
    libc::AF_NETLINK,
];

/// Requests of ioctl(2) that put into a terminal what its owner is to have typed: TIOCSTI, and TIOCLINUX by
/// the console's clipboard. The same numbers everywhere.
const TYPING: [u64; 2] = [0x5412, 0x541c];

/// Asks personality(2) only what it is.
const QUERY: u64 = 0xffff_ffff;

/// This program's architecture, as the kernel tells it of each call (AUDIT_ARCH_*).
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// Calls of x32 on x86_64 have this in their number. Elsewhere no number is that large.
const X32: u32 = 0x4000_0000;

/// Where the number and the architecture are in what the kernel gives (struct seccomp_data).
const NUMBER: u32 = 0;
const ARCH: u32 = 4;

/// The filter, ready for the kernel.
pub(super) fn program() -> Result<Program, String> {
    let refused = rules().and_then(|rules| {
        let target = std::env::consts::ARCH.try_into()?;
        let refuse = SeccompAction::Errno(libc::EPERM as u32);
        BpfProgram::try_from(SeccompFilter::new(
            rules,
            SeccompAction::Allow,
            refuse,
            target,
        )?)
    });
    let refused = refused.map_err(|error| format!("--sandbox seccomp: {error}"))?;
    Ok(first().into_iter().chain(refused).collect())
}

/// Has these calls fail from now on, in this thread.
pub(super) fn enter(program: &Program) -> Result<(), String> {
    apply_filter(program).map_err(|error| {
        format!(
            "--sandbox seccomp: {error}: this kernel has no filters of system calls (CONFIG_SECCOMP_FILTER), or \
             whoever started the service lets nobody set one (systemd's SystemCallFilter=: see docs/service.md); leave seccomp out to run without it"
        )
    })
}

fn rules() -> Result<BTreeMap<i64, Vec<SeccompRule>>, seccompiler::BackendError> {
    use SeccompCmpOp::{Eq, MaskedEq, Ne};
    // The kernel takes 32 bits of each of the arguments that are looked at.
    let argument =
        |number, op, value| SeccompCondition::new(number, SeccompCmpArgLen::Dword, op, value);
    let one = |condition| SeccompRule::new(vec![condition]);
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    let namespaces = NAMESPACES.map(|flag| {
        let flag = u64::from(flag.cast_unsigned());
        one(argument(0, MaskedEq(flag), flag)?)
    });
    rules.insert(
        libc::SYS_clone,
        namespaces.into_iter().collect::<Result<_, _>>()?,
    );
    let typing = TYPING.map(|request| one(argument(1, Eq, request)?));
    rules.insert(
        libc::SYS_ioctl,
        typing.into_iter().collect::<Result<_, _>>()?,
    );
    rules.insert(libc::SYS_personality, vec![one(argument(0, Ne, QUERY)?)?]);
    for call in [libc::SYS_socket, libc::SYS_socketpair] {
        let others = FAMILIES.map(|family| argument(0, Ne, u64::from(family.cast_unsigned())));
        let others = others.into_iter().collect::<Result<_, _>>()?;
        rules.insert(call, vec![SeccompRule::new(others)?]);
    }
    Ok(rules)
}

/// What the crate has no words for, before its part: another architecture (which it would kill for), and
/// clone3(2), whose flags are in memory that a filter cannot look at. ENOSYS has libc take clone(2).
fn first() -> [sock_filter; 8] {
    let load = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    let equal = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    let at_least = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
    let leave = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, k, jt, jf| sock_filter { code, jt, jf, k };
    let error = |errno: i32| step(leave, libc::SECCOMP_RET_ERRNO | errno.cast_unsigned(), 0, 0);
    [
        step(load, ARCH, 0, 0),
        step(equal, ARCHITECTURE, 1, 0),
        error(libc::EPERM),
        step(load, NUMBER, 0, 0),
        step(at_least, X32, 0, 1),
        error(libc::EPERM),
        step(equal, libc::SYS_clone3 as u32, 0, 1),
        error(libc::ENOSYS),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_one_that_the_kernel_takes() {
        let program = program().unwrap();
        // BPF_MAXINSNS.
        assert!(program.len() < 4096, "{}", program.len());
        assert_eq!(&program[..8], first());
    }
}
