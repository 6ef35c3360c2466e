//! Installs the programs that the tests talk to: other people's, at pinned versions.
//!
//! ```text
//! from the distribution   openssl  sqlite3  curl  etcd  etcdctl  ssh  script
//!                         sshd  sudo  ip  unshare  update-ca-certificates  keytool  trust  systemd-analyze
//!                         chromium  softhsm2-util  strace
//!                         python3 with venv and PyYAML
//!                         cloud-init, unpacked and not installed, and what it needs
//! from PyPI               caucase  pkilint  requests  bcrypt  schemathesis  ansible-core  moto, and what
//!                         they need: witnesses/requirements.txt
//!                         slapos.core and what it needs: witnesses/slapos.txt
//!                         zc.buildout and what it needs: witnesses/buildout.txt
//!                         zc.buildout, SlapOS's recipes and what runs promises: witnesses/recipes.txt
//!                         ops, and the library of certificate_transfer: witnesses/charms.txt
//! ```
//! The Python ones go into `venv/`, slapos.core into `slapos/`, zc.buildout into `buildout/`, what runs in a
//! partition of SlapOS into `recipes/`, and what charms need into `charms/`, in the witnesses' folder, `$PROVOST_WITNESSES` or else
//! `$XDG_CACHE_HOME/provost/witnesses` or else `~/.cache/provost/witnesses`: outside the repository,
//! shared by all checkouts. `venv/bin/caucase` is there afterwards. A folder that already has what
//! the requirements say is left alone, so a second call costs nothing. cloud-init goes into `cloud-init/`
//! beside it: installed, it would take part in the next boot of whatever machine this is.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::note;
use crate::run::{self, Failure};

/// The variable that names the witnesses' folder.
pub(crate) const VARIABLE: &str = "PROVOST_WITNESSES";

/// A program, and the Debian packages that bring it.
type Need = (&'static str, &'static [&'static str]);

const PROGRAMS: &[Need] = &[
    ("openssl", &["openssl"]),
    ("sqlite3", &["sqlite3"]),
    ("curl", &["curl", "ca-certificates"]),
    ("update-ca-certificates", &["ca-certificates"]),
    ("etcd", &["etcd-server"]),
    ("etcdctl", &["etcd-client"]),
    ("ssh", &["openssh-client"]),
    ("sshd", &["openssh-server"]),
    ("sudo", &["sudo"]),
    ("ip", &["iproute2"]),
    ("unshare", &["util-linux"]),
    ("pgrep", &["procps"]),
    ("pidof", &["sysvinit-utils"]),
    ("script", &["bsdutils"]),
    ("nginx", &["nginx-light"]),
    ("age", &["age"]),
    ("age-keygen", &["age"]),
    // It brings its PKCS#11 module along.
    ("softhsm2-util", &["softhsm2"]),
    ("setsid", &["util-linux"]),
    ("strace", &["strace"]),
    ("keytool", &["default-jre-headless"]),
    ("trust", &["p11-kit", "p11-kit-modules"]),
    ("chromium", &["chromium"]),
    // It reads units, and needs no systemd that runs.
    ("systemd-analyze", &["systemd"]),
];

/// A Python environment.
struct Environment {
    /// Its folder, in the witnesses'.
    venv: &'static str,
    /// What is in it: a file in `xtask/witnesses`.
    requirements: &'static str,
    /// The copy of that file which says that it is whole.
    stamp: &'static str,
}

const ENVIRONMENTS: &[Environment] = &[
    Environment { venv: "venv", requirements: "requirements.txt", stamp: "installed.txt" },
    Environment { venv: "slapos", requirements: "slapos.txt", stamp: "installed-slapos.txt" },
    Environment { venv: "charms", requirements: "charms.txt", stamp: "installed-charms.txt" },
    Environment { venv: "buildout", requirements: "buildout.txt", stamp: "installed-buildout.txt" },
    Environment { venv: "recipes", requirements: "recipes.txt", stamp: "installed-recipes.txt" },
];

/// Packages that start a service when they are installed, and its name: the tests start their own.
const SERVICES: &[(&str, &str)] =
    &[("etcd-server", "etcd"), ("openssh-server", "ssh"), ("nginx-light", "nginx")];

/// What cloud-init needs of Debian's Python; PyYAML is a witness itself.
const CLOUD_INIT_IS_FIT: &str =
    "import configobj, jinja2, jsonpatch, jsonschema, netifaces, oauthlib, requests, serial, yaml";

const CLOUD_INIT_NEEDS: &[&str] = &[
    "python3",
    "python3-configobj",
    "python3-jinja2",
    "python3-jsonpatch",
    "python3-jsonschema",
    "python3-netifaces",
    "python3-oauthlib",
    "python3-requests",
    "python3-serial",
    "python3-yaml",
];

/// What compiles the C of aws-lc and SQLite; they need no cmake.
const COMPILER: Need = ("cc", &["gcc", "libc6-dev"]);

/// Fails unless this Python can make a virtual environment that pkilint runs in.
const PYTHON_IS_FIT: &str = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))";

/// Installs what is missing and gives the witnesses' folder.
pub(crate) fn install(root: &Path) -> Result<PathBuf, Failure> {
    let folder = folder()?;
    install_packages(PROGRAMS)?;
    fs::create_dir_all(&folder).map_err(Failure::file(&folder))?;
    // Two checkouts may want the folder at the same time. The lock ends with the handle.
    let lock = folder.join("lock");
    let handle = File::create(&lock).map_err(Failure::file(&lock))?;
    handle.lock().map_err(Failure::file(&lock))?;

    for environment in ENVIRONMENTS {
        install_environment(root, &folder, environment)?;
    }
    unpack_cloud_init(&folder)?;
    Ok(folder)
}

/// Installs a Python environment where it is not what its requirements say.
fn install_environment(root: &Path, folder: &Path, environment: &Environment) -> Result<(), Failure> {
    let requirements = root.join("xtask/witnesses").join(environment.requirements);
    let wanted = fs::read_to_string(&requirements).map_err(Failure::file(&requirements))?;
    let (venv, stamp) = (folder.join(environment.venv), folder.join(environment.stamp));
    if !is_installed(&venv, &stamp, &wanted) {
        note(&format!("installing Python witnesses into {}", venv.display()));
        remove_if_there(&stamp, |path| fs::remove_file(path))?;
        remove_if_there(&venv, |path| fs::remove_dir_all(path))?;
        make_venv(&venv, &requirements, &wanted)?;
        // Last, so that an installation cut short begins anew.
        fs::write(&stamp, &wanted).map_err(Failure::file(&stamp))?;
    }
    Ok(())
}

/// Installs a C compiler where there is none.
pub(crate) fn install_compiler() -> Result<(), Failure> {
    if std::env::var_os("CC").is_some() { Ok(()) } else { install_packages(&[COMPILER]) }
}

/// Where the witnesses live. A relative `XDG_CACHE_HOME` is to be ignored (XDG Base Directory Specification).
fn folder() -> Result<PathBuf, Failure> {
    let path = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    path(VARIABLE)
        .or_else(|| Some(path("XDG_CACHE_HOME")?.join("provost/witnesses")))
        .or_else(|| Some(path("HOME")?.join(".cache/provost/witnesses")))
        .ok_or_else(|| {
            Failure::Missing(format!("there is no HOME; set {VARIABLE} to the folder for witnesses"))
        })
}

/// Unpacks Debian's cloud-init into the witnesses' `folder`, and installs the Python libraries that it needs.
fn unpack_cloud_init(folder: &Path) -> Result<(), Failure> {
    // By its path: a Python of the user's own does not have Debian's libraries.
    if run::read(&mut run::command("/usr/bin/python3", &["-c", CLOUD_INIT_IS_FIT])).is_err() {
        install_with_apt(CLOUD_INIT_NEEDS)?;
    }
    let (unpacked, unfinished) = (folder.join("cloud-init"), folder.join("cloud-init.new"));
    if unpacked.exists() {
        return Ok(());
    }
    note(&format!("unpacking cloud-init into {}", unpacked.display()));
    remove_if_there(&unfinished, |path| fs::remove_dir_all(path))?;
    fs::create_dir(&unfinished).map_err(Failure::file(&unfinished))?;
    if !run::on_path("apt-get") {
        return Err(Failure::Missing("please unpack Debian's package cloud-init".to_owned()));
    }
    run::run(run::command("apt-get", &["-q", "download", "cloud-init"]).current_dir(&unfinished))?;
    let downloaded = fs::read_dir(&unfinished).map_err(Failure::file(&unfinished))?;
    for package in downloaded {
        let package = package.map_err(Failure::file(&unfinished))?.path();
        run::run(run::command("dpkg-deb", &["-x"]).args([&package, &unfinished]))?;
    }
    fs::rename(&unfinished, &unpacked).map_err(Failure::file(&unpacked))
}

/// The stamp is a copy of the requirements. A virtual environment whose Python was removed is no use.
fn is_installed(venv: &Path, stamp: &Path, wanted: &str) -> bool {
    venv.join("bin/python").exists() && fs::read_to_string(stamp).is_ok_and(|installed| installed == wanted)
}

fn remove_if_there(path: &Path, remove: impl FnOnce(&Path) -> std::io::Result<()>) -> Result<(), Failure> {
    if path.exists() { remove(path).map_err(Failure::file(path)) } else { Ok(()) }
}

fn make_venv(venv: &Path, requirements: &Path, wanted: &str) -> Result<(), Failure> {
    let python = python()?;
    run::run(run::command(&python, &["-m", "venv"]).arg(venv))?;
    let pip = |arguments: &[&str]| {
        let mut pip =
            run::command(venv.join("bin/python"), &["-m", "pip", "install", "--quiet", "--no-input"]);
        // No dependency resolution and no build environments: nothing but what is pinned.
        pip.args(["--disable-pip-version-check", "--no-deps", "--no-build-isolation"]).args(arguments);
        pip
    };
    let builder = wanted.lines().find(|line| line.starts_with("setuptools=="));
    run::run(&mut pip(&[builder.unwrap_or("setuptools")]))?;
    run::run(pip(&["--requirement"]).arg(requirements))
}

/// A Python that is fit: the one on the `PATH`, or else the distribution's.
fn python() -> Result<String, Failure> {
    let is_fit = |python: &str| run::read(&mut run::command(python, &["-c", PYTHON_IS_FIT])).is_ok();
    let candidates = ["python3", "/usr/bin/python3"];
    if let Some(python) = candidates.into_iter().find(|python| is_fit(python)) {
        return Ok(python.to_owned());
    }
    install_with_apt(&["python3", "python3-venv"])?;
    let python = candidates.into_iter().find(|python| is_fit(python));
    python
        .map(str::to_owned)
        .ok_or_else(|| Failure::Missing("the witnesses need Python 3.10 or later".to_owned()))
}

/// Installs the packages of the programs that are not on the `PATH`.
fn install_packages(needs: &[Need]) -> Result<(), Failure> {
    let missing = needs.iter().filter(|(program, _)| !run::on_path(program));
    let packages: Vec<&str> = missing.flat_map(|(_, packages)| *packages).copied().collect();
    if packages.is_empty() { Ok(()) } else { install_with_apt(&packages) }
}

/// Installs Debian packages, as root or through sudo; says what to install where that cannot be done.
fn install_with_apt(packages: &[&str]) -> Result<(), Failure> {
    let list = packages.join(" ");
    if !run::on_path("apt-get") {
        return Err(Failure::Missing(format!("please install: {list} (these are Debian's names for them)")));
    }
    let is_root = run::read(&mut run::command("id", &["-u"]))?.trim() == "0";
    let prefix: &[&str] = match (is_root, run::on_path("sudo")) {
        (true, _) => &["env"],
        (false, true) => &["sudo", "env"],
        (false, false) => {
            return Err(Failure::Missing(format!("please run as root: apt-get install {list}")));
        }
    };
    note(&format!("installing {list}"));
    let as_root = |arguments: &[&str]| run::run(run::command(prefix[0], &prefix[1..]).args(arguments));
    let apt_get = |arguments: &[&str]| {
        as_root(&[&["DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"], arguments].concat())
    };
    apt_get(&["update"])?;
    apt_get(&[&["install", "-y", "--no-install-recommends"], packages].concat())?;
    // Without systemd, as in a container, nothing was started.
    if Path::new("/run/systemd/system").exists() {
        for (_, service) in SERVICES.iter().filter(|(package, _)| packages.contains(package)) {
            as_root(&["systemctl", "disable", "--now", service])?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_requirement_is_pinned() {
        let texts = ENVIRONMENTS.iter().map(|environment| {
            fs::read_to_string(crate::root().join("xtask/witnesses").join(environment.requirements)).unwrap()
        });
        let text = texts.collect::<String>();
        let lines: Vec<&str> =
            text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        for line in &lines {
            assert!(line.split_once("==").is_some_and(|(_, version)| !version.contains('*')), "{line}");
        }
        let ours = [
            "caucase",
            "pkilint",
            "requests",
            "bcrypt",
            "schemathesis",
            "ansible-core",
            "slapcache",
            "moto",
            "slapos.core",
            "zc.buildout",
            "slapos.cookbook",
            "slapos.recipe.template",
            "plone.recipe.command",
            "setuptools",
        ];
        for name in ours {
            assert!(lines.iter().any(|line| line.starts_with(&format!("{name}=="))), "{name}");
        }
    }

    #[test]
    fn only_a_finished_installation_of_the_same_requirements_counts() {
        let folder = std::env::temp_dir().join(format!("xtask-witnesses-{}", std::process::id()));
        let (venv, stamp) = (folder.join("venv"), folder.join("installed.txt"));
        fs::create_dir_all(venv.join("bin")).unwrap();
        assert!(!is_installed(&venv, &stamp, "a==1\n"), "nothing is there");
        fs::write(&stamp, "a==1\n").unwrap();
        assert!(!is_installed(&venv, &stamp, "a==1\n"), "its Python is gone");
        fs::write(venv.join("bin/python"), "").unwrap();
        assert!(is_installed(&venv, &stamp, "a==1\n"));
        assert!(!is_installed(&venv, &stamp, "a==2\n"), "another version is wanted");
        fs::remove_dir_all(&folder).unwrap();
    }
}
