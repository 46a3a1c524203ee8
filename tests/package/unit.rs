//! A unit of the package, as its file in the root says it: what systemd would give the service, given by other
//! means, since no systemd runs there. What systemd alone can do (filters of system calls and of devices) is left
//! out; `systemd-analyze verify` looks at the whole of it.

use std::process::{Child, Output, Stdio};

use crate::root::Root;

pub struct Unit {
    text: String,
    instance: String,
    /// Without `.service`.
    name: String,
}

impl Unit {
    /// `camelpost.service`, or of a template `camelpost@.service` the instance.
    pub fn new(root: &Root, name: &str, instance: &str) -> Unit {
        let at = ["/lib/systemd/system", "/usr/lib/systemd/system"];
        let paths = at.map(|dir| format!("{dir}/{name}"));
        let path = paths.iter().find(|path| root.path(path).exists());
        Unit {
            text: root.read(path.expect("the unit's file")),
            instance: instance.to_owned(),
            name: name.replace(".service", instance),
        }
    }

    /// The values of a setting, all lines of it.
    fn all(&self, name: &str) -> Vec<String> {
        let of_setting = |line: &str| Some(line.strip_prefix(name)?.strip_prefix('=')?.to_owned());
        let lines = self.text.lines().filter_map(of_setting);
        lines
            .map(|value| value.replace("%i", &self.instance))
            .map(|value| value.replace("%N", &self.name))
            .collect()
    }

    /// The one value of a setting that has to be there.
    pub fn one(&self, name: &str) -> String {
        let all = self.all(name);
        assert_eq!(all.len(), 1, "{name}= {all:?}");
        all.concat()
    }

    /// OPTIONS, by Environment= and then the file of EnvironmentFile=, where it is there.
    fn options(&self, root: &Root) -> Vec<String> {
        let own = self.all("Environment");
        let own = own
            .iter()
            .filter_map(|value| Some(value.trim_matches('"').strip_prefix("OPTIONS=")?.to_owned()));
        let file = self.one("EnvironmentFile");
        let file = file
            .strip_prefix('-')
            .expect("a file that need not be there");
        let text = match root.path(file).exists() {
            true => root.read(file),
            false => String::new(),
        };
        let of_file = text
            .lines()
            .filter_map(|line| Some(line.strip_prefix("OPTIONS=")?.trim_matches('"').to_owned()));
        let all = own.chain(of_file).last().unwrap_or_default();
        all.split_whitespace().map(str::to_owned).collect()
    }

    /// Starts a command of the unit with the user, the capabilities and the writable directories that it names.
    fn start(&self, root: &Root, exec: &str, log: Stdio) -> Child {
        let words = exec.split(' ').flat_map(|word| match word {
            "$OPTIONS" => self.options(root),
            word => vec![word.to_owned()],
        });
        let words: Vec<String> = words.collect();
        let user = self.one("User");
        let capabilities = |name: &str| {
            let named = self.one(name).to_lowercase();
            let named: Vec<String> = named
                .split(' ')
                .map(|one| one.replace("cap_", "+"))
                .collect();
            format!("-all,{}", named.join(","))
        };
        let ambient = capabilities("AmbientCapabilities");
        assert_eq!(self.one("NoNewPrivileges"), "yes");
        assert_eq!(self.one("ProtectSystem"), "strict");
        assert_eq!(self.one("PrivateTmp"), "yes");
        let run = format!("/run/{}", self.one("RuntimeDirectory"));
        let line = format!(
            "[ -d {run} ] || mkdir -p {run} && chown {user}: {run}
            exec unshare --mount --propagation private sh -ec '
                for dir in {writable} {run}; do mount --bind $dir $dir; done
                mount -t tmpfs -o mode=1777 tmpfs /tmp
                mount -o remount,bind,ro /
                cd {directory}
                umask {mask}
                exec setpriv --reuid {user} --regid {user} --init-groups --no-new-privs \
                    --inh-caps={ambient} --ambient-caps={ambient} --bounding-set={bounding} \
                    env RUNTIME_DIRECTORY={run} {words}'",
            writable = self.one("ReadWritePaths"),
            directory = self.one("WorkingDirectory"),
            mask = self.one("UMask"),
            bounding = capabilities("CapabilityBoundingSet"),
            words = words.join(" "),
        );
        let mut command = root.command(&line);
        command.stdout(Stdio::null()).stderr(log);
        command.spawn().unwrap()
    }

    /// ExecStartPre=, whose failure keeps nothing from starting: whether it succeeds.
    pub fn is_checked(&self, root: &Root, log: Stdio) -> bool {
        let exec = self.one("ExecStartPre");
        let exec = exec.strip_prefix('-').expect("a check that stops nothing");
        let status = self.start(root, exec, log).wait().unwrap();
        status.success()
    }

    /// ExecReload= or ExecStop=, for a main process, as the unit's user.
    pub fn control(&self, root: &Root, name: &str, pid: &str) -> Output {
        let exec = self.one(name).replace("${MAINPID}", pid);
        let exec = exec.trim_start_matches('-');
        let user = self.one("User");
        root.try_run(&format!(
            "exec setpriv --reuid {user} --regid {user} --init-groups {exec}"
        ))
    }

    /// ExecStart=; the process is nsenter's.
    pub fn serve(&self, root: &Root, log: Stdio) -> Child {
        self.start(root, &self.one("ExecStart"), log)
    }
}
