//! SlapOS's software releases get the certificate authority's programs from `integrations/slapos`, and write their instances'
//! sections with its macros: built by zc.buildout with the recipes that SlapOS uses, and run (caucase contract, section 10).

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::{
    Caucase, Process, Ran, free_pair, key_and_request, openssl, openssl_ok, recipes_program, run, wait_until,
    witness,
};

use crate::program::PROVOST;

/// The names that software releases call.
const NAMES: [&str; 7] = [
    "caucase",
    "caucase-key-id",
    "caucase-probe",
    "caucase-rerequest",
    "caucase-updater",
    "caucased",
    "caucased-manage",
];

/// Runs the promises of the partition in the first argument, as SlapOS's node agent does, and prints what came of each.
const PROMISES: &str = "
import glob, json, os, sys
from slapos.grid.promise import PromiseError, PromiseLauncher
partition = sys.argv[1]
os.makedirs(partition + '/etc/plugin', exist_ok=True)
try:
    PromiseLauncher(config={
        'partition-folder': partition, 'partition-id': 'slappart0', 'computer-id': 'COMP-1', 'force': True,
        'promise-folder': partition + '/etc/plugin', 'legacy-promise-folder': partition + '/etc/promise',
    }).run()
except PromiseError:
    pass
for path in sorted(glob.glob(partition + '/.slapgrid/promise/result/*.status.json')):
    with open(path) as file:
        told = json.load(file)
    print(told['name'], 'failed: ' + told['result']['message'] if told['result']['failed'] else 'holds')
";

/// A software release and one instance of it.
struct Release {
    home: tempfile::TempDir,
}

impl Release {
    /// Builds a software release with the profile, whose instances are made from `template`.
    #[track_caller]
    fn build(template: &str) -> Self {
        let release = Self { home: tempfile::tempdir().unwrap() };
        for folder in ["software", "instance", "tmp", "recipes"] {
            std::fs::create_dir(release.path(folder)).unwrap();
        }
        release.let_recipes_be_found();
        release.write("software/instance.cfg.jinja2", template);
        release.write("software/buildout.cfg", &profile(PROVOST));
        release.software();
        release
    }

    /// Builds the software.
    #[track_caller]
    fn software(&self) {
        self.buildout("software").ok();
    }

    /// As [`Release::build`], and builds the instance.
    #[track_caller]
    fn with_instance(parts: &str, sections: &str) -> Self {
        let mut release = Self::build("nothing yet\n");
        release.make_instance(parts, sections);
        release
    }

    /// Builds the instance, from a template with these parts and sections.
    #[track_caller]
    fn make_instance(&mut self, parts: &str, sections: &str) {
        let template = format!(
            "{{% import \"caucase\" as caucase with context %}}\n\
             [buildout]\nparts = {parts}\nindex = http://127.0.0.1:9/\nnewest = false\n\n\
             [directory]\nrecipe = slapos.cookbook:mkdirectory\nsrv = ${{buildout:directory}}/srv\n\
             service = ${{buildout:directory}}/etc/service\ntmp = ${{buildout:directory}}/tmp\n\n{sections}\n"
        );
        self.write("software/instance.cfg.jinja2", &template);
        self.software();
        let made = std::fs::read_to_string(self.path("software/template.cfg")).unwrap();
        self.write("instance/buildout.cfg", &made);
        self.buildout("instance").ok();
    }

    /// What slapos.cookbook needs for its many other recipes is not installed, and pkg_resources would ask for all of it: so it
    /// finds the same package once more before, as one that needs nothing.
    fn let_recipes_be_found(&self) {
        let site = run(Command::new(recipes_program("python"))
            .args(["-c", "import sysconfig; print(sysconfig.get_path('purelib'), end='')"]));
        let found = std::fs::read_dir(site.ok()).unwrap().map(|entry| entry.unwrap().path()).find(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with("slapos") && name.contains("cookbook") && name.ends_with(".dist-info")
        });
        let found = found.expect("slapos.cookbook is one of the recipes");
        let name = found.file_name().unwrap().to_str().unwrap();
        let version = name.trim_end_matches(".dist-info").rsplit('-').next().unwrap();
        let folder = self.path("recipes").join(name);
        std::fs::create_dir(&folder).unwrap();
        std::fs::copy(found.join("entry_points.txt"), folder.join("entry_points.txt")).unwrap();
        let metadata = format!("Metadata-Version: 2.1\nName: slapos.cookbook\nVersion: {version}\n");
        std::fs::write(folder.join("METADATA"), metadata).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// A path in the instance.
    fn of_instance(&self, name: &str) -> PathBuf {
        self.path("instance").join(name)
    }

    #[track_caller]
    fn read(&self, name: &str) -> String {
        let path = self.of_instance(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// A command that runs in this folder of ours.
    fn command(&self, program: &Path, folder: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.path(folder))
            .env_clear()
            .env("HOME", self.home.path())
            .env("PATH", "/usr/bin:/bin")
            .env("TMPDIR", self.path("tmp"))
            .env("PYTHONPATH", self.path("recipes"))
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// Runs buildout in this folder.
    fn buildout(&self, folder: &str) -> Ran {
        run(self.command(&recipes_program("buildout"), folder).arg("-N"))
    }

    /// Starts an executable of the instance.
    fn start(&self, name: &str) -> Process {
        Process::spawn(&mut self.command(&self.of_instance(name), "instance"))
    }

    /// Starts a server and waits until it listens.
    #[track_caller]
    fn serve(&self, name: &str) -> Process {
        let server = self.start(name);
        server.wait_for_stderr(|said| said.contains("Listening on [")).unwrap();
        server
    }

    /// Runs an executable of the instance to its end.
    fn run(&self, name: &str) -> Ran {
        run(&mut self.command(&self.of_instance(name), "instance"))
    }

    /// What SlapOS's node agent says about the promises.
    fn promises(&self) -> String {
        let mut agent = self.command(&recipes_program("python"), "instance");
        run(agent.args(["-c", PROMISES]).arg(self.path("instance"))).ok().to_owned()
    }
}

/// The profile of a software release.
fn profile(program: &str) -> String {
    let ours =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../integrations/slapos").canonicalize().unwrap();
    let ours = ours.display();
    format!(
        "[buildout]\nextends = {ours}/buildout.cfg\nparts = caucase-eggs instance\nindex = http://127.0.0.1:9/\n\
         newest = false\n\n[caucase-eggs]\nprogram = {program}\n\n\
         [caucase-jinja2-library]\n_profile_base_location_ = {ours}\n\n\
         [instance]\nrecipe = slapos.recipe.template:jinja2\nurl = ${{buildout:directory}}/instance.cfg.jinja2\n\
         output = ${{buildout:directory}}/template.cfg\ncontext = key bin_directory buildout:bin-directory\n\
         import-list =\n  file caucase caucase-jinja2-library:target\n"
    )
}

/// What is in a folder, in order.
fn listed(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Where each of the links leads.
fn links(release: &Release) -> Vec<PathBuf> {
    let bin = release.path("software/bin");
    listed(&bin).iter().map(|name| std::fs::read_link(bin.join(name)).unwrap()).collect()
}

/// The profile makes links to the program it is told of, and nothing else; they follow it, and go with it.
#[test]
fn the_software_is_links_to_one_program() {
    let release = Release::build("nothing is made of it\n");
    release.buildout("software").ok();
    assert_eq!(listed(&release.path("software/bin")), NAMES);
    assert_eq!(links(&release), vec![PathBuf::from(PROVOST); NAMES.len()]);
    assert_eq!(listed(&release.path("software/parts")), ["caucase-jinja2-library"]);
    assert_eq!(listed(&release.path("software/eggs/v5")), [""; 0], "nothing was fetched");
    let called = run(Command::new(release.path("software/bin/caucased")).arg("--version"));
    assert_eq!(called.ok(), "0.9.17\n");

    let moved = release.path("provost");
    symlink(PROVOST, &moved).unwrap();
    release.write("software/buildout.cfg", &profile(moved.to_str().unwrap()));
    release.buildout("software").ok();
    assert_eq!(links(&release), vec![moved; NAMES.len()]);

    release.write("software/buildout.cfg", &profile("provost-that-is-not-there"));
    let missing = release.buildout("software");
    assert_eq!(missing.code, Some(1), "{missing:?}");
    let help = "there is no program provost-that-is-not-there: say in [caucase-eggs] which one is meant";
    assert!(missing.stderr.contains(help), "{missing:?}");

    release.write("software/buildout.cfg", "[buildout]\nparts =\nindex = http://127.0.0.1:9/\n");
    release.buildout("software").ok();
    assert_eq!(listed(&release.path("software/bin")), [""; 0]);
}

/// A server at an IPv6 address and an updater of one file for key and certificate, written as today's callers do.
#[test]
fn an_instance_serves_and_keeps_a_certificate() {
    let netloc = format!("[::1]:{}", free_pair());
    let release = Release::with_instance(
        "caucased caucased-promise keeper keeper-promise",
        &format!(
            "[caucased]\nhash-existing-files = {{{{ bin_directory }}}}/caucased\n\n\
             {{{{ caucase.caucased(\n  prefix='caucased',\n  buildout_bin_directory=bin_directory,\n  \
             caucased_path='${{directory:service}}/caucased',\n  data_dir='${{directory:srv}}/caucased',\n  \
             netloc='{netloc}',\n  tmp='${{directory:tmp}}',\n  service_auto_approve_count=1,\n  \
             user_auto_approve_count=1,\n  key_len=2048,\n  backup_dir='${{directory:srv}}/backups',\n  \
             backup_period=0.5,\n  service_crt_validity=20.5) }}}}\n\
             [names]\ncertificate = ${{directory:srv}}/one.pem\nkey = ${{:certificate}}\n\n\
             {{{{ caucase.updater(\n  prefix='keeper',\n  buildout_bin_directory=bin_directory,\n  \
             updater_path='${{directory:service}}/keeper',\n  url='http://{netloc}',\n  \
             data_dir='${{directory:srv}}/keeper',\n  crt_path='${{names:certificate}}',\n  \
             ca_path='${{directory:srv}}/ca.pem',\n  crl_path='${{directory:srv}}/crl.pem',\n  \
             key_path='${{names:key}}',\n  on_renew='echo \"renewed\" >> hook',\n  max_sleep=1.0,\n  \
             openssl_req_options='-subj \"/CN=Keeper of one\"') }}}}\n"
        ),
    );
    let key = release.read("srv/one.pem");
    // The part that stays the same whoever asks is that its name follows what it starts.
    let services = listed(&release.of_instance("etc/service"));
    let [server, keeper] = <[String; 2]>::try_from(services).unwrap();
    assert!(server.starts_with("caucased-") && keeper == "keeper", "{server} {keeper}");
    release.buildout("instance").ok();
    assert_eq!(release.read("srv/one.pem"), key, "a second build makes no second key");

    // Nothing runs: both say so.
    let promises = release.promises();
    let [caucased, kept] = promises.lines().collect::<Vec<_>>().try_into().unwrap();
    assert!(caucased.starts_with("caucased failed: "), "{promises}");
    let nothing = release.of_instance("srv/one.pem");
    assert_eq!(kept, format!("keeper failed: no certificate can be read in {}", nothing.display()));

    let server = release.serve(&format!("etc/service/{server}"));
    assert_eq!(release.run("etc/promise/caucased").ok(), "");
    let keeper = release.start("etc/service/keeper");
    // Its certificates live for less than the 31 days that it renews within.
    let renewed = |said: &str| said.matches("Next wake-up at ").count() == 2;
    let said = keeper.wait_for_stdout(renewed).unwrap_or_else(|said| panic!("{said}\n{}", keeper.stderr()));
    assert!(said.contains("Bootstrap done\n"), "{said}");
    assert!(said.contains(&format!("Renewing {}\n", nothing.display())), "{said}");
    assert_eq!(release.read("hook"), "renewed\n");
    let now = release.read("srv/one.pem");
    assert!(now.contains("PRIVATE KEY") && now.contains("CERTIFICATE") && !now.contains(&key), "{now}");
    let in_instance = release.path("instance");
    let verify = ["verify", "-crl_check", "-CAfile", "srv/ca.pem", "-CRLfile", "srv/crl.pem", "srv/one.pem"];
    openssl_ok(&in_instance, &verify);
    let shown = openssl_ok(&in_instance, &["x509", "-noout", "-subject", "-in", "srv/one.pem"]);
    assert_eq!(shown, "subject=CN = Keeper of one\n");
    assert_eq!(release.promises(), "caucased holds\nkeeper holds\n");
    drop(keeper);
    // The first user is the first who can read a backup.
    let backups = release.of_instance("srv/backups");
    assert_eq!(listed(&backups), [""; 0]);
    let user = Caucase::at(&format!("http://{netloc}"));
    user.make_request("user");
    let _ = user.submit("user", "user.csr.pem");
    wait_until("a backup", || listed(&backups).iter().any(|name| name.ends_with(".sql.caucased")));

    server.terminate();
    server.wait();
    let promises = release.promises();
    let [caucased, kept] = promises.lines().collect::<Vec<_>>().try_into().unwrap();
    assert!(caucased.starts_with("caucased failed: "), "{promises}");
    assert_eq!(kept, "keeper holds");
}

/// The same macros called as the older public text has them: without a folder of programs, and with the promise's path.
/// What the updater needs is a template's text here, and key and certificate have a file each.
#[test]
fn older_callers_are_served() {
    let netloc = format!("127.0.0.1:{}", free_pair());
    let template = tempfile::tempdir().unwrap();
    let request = |name: &str| {
        key_and_request(template.path(), name, &["-subj", &format!("/CN={name}")]);
        std::fs::read_to_string(template.path().join(format!("{name}.csr.pem"))).unwrap()
    };
    let sections = |request: &str| {
        format!(
            "{{{{ caucase.caucased(\n  prefix='authority',\n  caucased_path='${{directory:service}}/authority',\n  \
             data_dir='${{directory:srv}}/authority',\n  netloc='{netloc}',\n  service_auto_approve_count=2,\n  \
             promise='${{directory:service}}/authority-promise') }}}}\n\
             {{{{ caucase.updater(\n  prefix='keeper',\n  updater_path='${{directory:service}}/keeper',\n  \
             url='http://{netloc}',\n  data_dir='${{directory:srv}}/keeper',\n  \
             crt_path='${{directory:srv}}/one.crt',\n  ca_path='${{directory:srv}}/ca.pem',\n  \
             crl_path='${{directory:srv}}/crl.pem',\n  key_path='${{directory:srv}}/one.key',\n  \
             template_csr_pem='''{request}''',\n  openssl='/usr/bin/openssl') }}}}\n\
             {{{{ caucase.updater(\n  prefix='trust',\n  updater_path='${{directory:service}}/trust',\n  \
             url='http://{netloc}',\n  data_dir='${{directory:srv}}/trust',\n  \
             ca_path='${{directory:srv}}/ca.d',\n  crl_path='${{directory:srv}}/trust/crl.pem') }}}}\n"
        )
    };
    let parts = "authority authority-promise keeper keeper-promise trust trust-promise";
    let mut release = Release::with_instance(parts, &sections(&request("first")));
    assert_ne!(release.run("etc/service/authority-promise").code, Some(0));
    let _server = release.serve("etc/service/authority");
    assert_eq!(release.run("etc/service/authority-promise").ok(), "");

    let asleep = |said: &str| said.matches("Next wake-up at ").count() == 2;
    let kept = |release: &Release| {
        let keeper = release.start("etc/service/keeper");
        let said =
            keeper.wait_for_stdout(asleep).unwrap_or_else(|said| panic!("{said}\n{}", keeper.stderr()));
        assert!(said.contains("Bootstrap done\n"), "{said}");
        openssl_ok(&release.path("instance"), &["verify", "-CAfile", "srv/ca.pem", "srv/one.crt"]);
        let shown = ["x509", "-noout", "-subject", "-in", "srv/one.crt"];
        openssl_ok(&release.path("instance"), &shown)
    };
    assert_eq!(kept(&release), "subject=CN = first\n");
    assert_eq!(release.run("etc/promise/keeper").ok(), "");
    let first = release.read("srv/one.crt");

    // Without a certificate of its own it keeps the authority's and the list of revocations.
    let nothing = release.run("etc/promise/trust");
    let expected = format!("no certificate can be read in {}\n", release.of_instance("srv/ca.d").display());
    assert_eq!((nothing.code, nothing.stdout), (Some(1), expected));
    let trust = release.start("etc/service/trust");
    trust.wait_for_stdout(asleep).unwrap_or_else(|said| panic!("{said}\n{}", trust.stderr()));
    assert_eq!(release.run("etc/promise/trust").ok(), "");

    // Another template: another key, and a certificate for it.
    release.make_instance(parts, &sections(&request("second")));
    assert_eq!(release.read("srv/one.crt.old"), first);
    let missing = release.run("etc/promise/keeper");
    let expected = format!("there is no certificate in {}\n", release.of_instance("srv/one.crt").display());
    assert_eq!((missing.code, missing.stdout), (Some(1), expected));
    assert_eq!(kept(&release), "subject=CN = second\n");
    assert_eq!(release.run("etc/promise/keeper").ok(), "");
}

/// A request is made again when its template changed or a file is missing, and else never.
#[test]
fn a_request_is_made_again_when_it_has_to_be() {
    let home = tempfile::tempdir().unwrap();
    let template = home.path().join("template.csr.pem");
    let changed = |name: &str| {
        key_and_request(home.path(), "template", &["-subj", &format!("/CN={name}")]);
    };
    changed("first");
    let release = Release::with_instance(
        "again",
        &format!(
            "{{{{ caucase.rerequest(\n  prefix='again',\n  buildout_bin_directory=bin_directory,\n  \
             template='{}',\n  csr='${{directory:srv}}/good.csr.pem',\n  key='${{directory:srv}}/key.pem') }}}}\n",
            template.display()
        ),
    );
    let made = || {
        release.buildout("instance").ok();
        let subject = ["req", "-noout", "-verify", "-subject", "-in", "srv/good.csr.pem"];
        let subject = openssl_ok(&release.path("instance"), &subject);
        let of_key = openssl_ok(&release.path("instance"), &["pkey", "-pubout", "-in", "srv/key.pem"]);
        let of_request =
            openssl_ok(&release.path("instance"), &["req", "-noout", "-pubkey", "-in", "srv/good.csr.pem"]);
        assert_eq!(of_key, of_request);
        (release.read("srv/key.pem"), subject)
    };
    let first = made();
    assert_eq!(first.1, "subject=CN = first\n");
    assert_eq!(made(), first, "nothing changed");

    let sum = home.path().join("template.csr.pem.md5");
    let written = std::fs::read_to_string(&sum).unwrap();
    let (hexadecimal, _) = written.split_once("  ").unwrap();
    assert_eq!(hexadecimal.len(), 32, "{written}");
    std::fs::write(&sum, hexadecimal).unwrap();
    assert_eq!(made(), first, "however the sum was written");

    changed("second");
    let second = made();
    assert_ne!(second.0, first.0);
    assert_eq!(second.1, "subject=CN = second\n");
    assert_eq!(made(), second);

    let mut last = second;
    for missing in ["srv/good.csr.pem", "srv/key.pem"] {
        std::fs::remove_file(release.of_instance(missing)).unwrap();
        let now = made();
        assert_ne!(now.0, last.0, "{missing}");
        assert_eq!(made(), now, "{missing}");
        last = now;
    }
    // As a run leaves it that was cut off between the two files.
    std::fs::remove_file(&sum).unwrap();
    assert_ne!(made().0, last.0);
}

/// The updater's promise: a certificate for the key beside it, good for 15 days more.
#[test]
fn the_updaters_promise_is_kept_or_not() {
    let release = Release::with_instance(
        "keeper keeper-promise",
        "{{ caucase.updater(\n  prefix='keeper',\n  buildout_bin_directory=bin_directory,\n  \
         updater_path='${directory:service}/keeper',\n  url='http://127.0.0.1:9',\n  \
         data_dir='${directory:srv}/keeper',\n  ca_path='${directory:srv}/ca.pem',\n  \
         crl_path='${directory:srv}/crl.pem',\n  crt_path='${directory:srv}/crt.pem',\n  \
         key_path='${directory:srv}/key.pem') }}\n",
    );
    let home = release.path("instance");
    let says = |expected: &str| {
        let ran = release.run("etc/promise/keeper");
        let srv = release.of_instance("srv");
        let said = ran.stdout.replace(&format!("{}/", srv.display()), "");
        let code = i32::from(!expected.is_empty());
        assert_eq!((ran.code, said.trim_end(), ran.stderr.as_str()), (Some(code), expected, ""));
    };
    let certificate_for = |days: &str| {
        let arguments =
            ["req", "-x509", "-key", "srv/key.pem", "-subj", "/CN=one", "-days", days, "-out", "srv/crt.pem"];
        openssl_ok(&home, &arguments);
    };
    says("there is no certificate in crt.pem");
    certificate_for("16");
    says("");
    certificate_for("14");
    says("the certificate in crt.pem is not good for 15 days more");
    certificate_for("16");
    openssl_ok(&home, &["genpkey", "-algorithm", "ed25519", "-out", "srv/key.pem"]);
    says("the certificate in crt.pem is not for the key in key.pem");
    std::fs::remove_file(home.join("srv/key.pem")).unwrap();
    says("no key can be read in key.pem");
    std::fs::write(home.join("srv/crt.pem"), "nonsense").unwrap();
    says("no certificate can be read in crt.pem");

    // A request is made for a key that is there; without one, both are made.
    let request = home.join("srv/keeper/good.csr.pem");
    let made = || {
        release.buildout("instance").ok();
        let shown = ["req", "-noout", "-verify", "-pubkey", "-in", "srv/keeper/good.csr.pem"];
        let of_key = openssl_ok(&home, &["pkey", "-pubout", "-in", "srv/key.pem"]);
        assert_eq!(openssl_ok(&home, &shown), of_key);
        of_key
    };
    std::fs::remove_file(&request).unwrap();
    let key = made();
    std::fs::remove_file(&request).unwrap();
    assert_eq!(made(), key);
    std::fs::remove_file(home.join("srv/key.pem")).unwrap();
    std::fs::remove_file(&request).unwrap();
    assert_ne!(made(), key);
}

/// Every parameter becomes what the programs take, the stock ones here, in the folder that the caller names.
#[test]
fn every_parameter_reaches_its_program() {
    let port = free_pair();
    let bin = witness("caucased").parent().unwrap().display().to_string();
    let release = Release::with_instance(
        "authority authority-promise holder holder-promise",
        &format!(
            "{{{{ caucase.caucased(\n  prefix='authority',\n  buildout_bin_directory='{bin}',\n  \
             caucased_path='${{directory:service}}/authority',\n  data_dir='${{directory:srv}}/authority',\n  \
             netloc='localhost:{port}',\n  tmp='${{directory:tmp}}',\n  service_auto_approve_count=0,\n  \
             user_auto_approve_count=1,\n  key_len=3072,\n  backup_dir='${{directory:srv}}/backup',\n  \
             backup_period=0.5,\n  bind='127.0.0.1',\n  base_port={port},\n  promise=True,\n  \
             service_crt_validity=40.5,\n  user_crt_validity=60) }}}}\n\
             {{{{ caucase.updater(\n  prefix='holder',\n  buildout_bin_directory='{bin}',\n  \
             updater_path='${{directory:service}}/holder',\n  url='http://localhost:{port}',\n  \
             data_dir='${{directory:srv}}/holder',\n  ca_path='${{directory:srv}}/ca.pem',\n  \
             crl_path='${{directory:srv}}/crl.pem',\n  crt_path='${{directory:srv}}/holder.pem',\n  \
             on_renew='echo \"a \\\\ b\" >> hook',\n  max_sleep=2,\n  mode='user',\n  \
             openssl_req_options='-subj \"/CN=a holder\"',\n  promise='${{directory:service}}/holder-promise') }}}}\n"
        ),
    );
    let wrapper = release.read("etc/service/authority");
    let tmp = release.of_instance("tmp");
    for name in ["TMP", "TMPDIR"] {
        assert!(wrapper.contains(&format!("export {name}={}\n", tmp.display())), "{wrapper}");
    }
    assert!(release.of_instance("srv/backup").is_dir());

    let server = release.serve("etc/service/authority");
    assert_eq!(
        server.stderr().lines().next(),
        Some(&*format!("Listening on [127.0.0.1]:{port}-{}", port + 1))
    );
    // It says so before it does.
    wait_until("the stock server to answer", || release.run("etc/promise/authority").code == Some(0));
    let holder = release.start("etc/service/holder");
    let asleep = |said: &str| said.matches("Next wake-up at ").count() == 2;
    holder.wait_for_stdout(asleep).unwrap_or_else(|said| panic!("{said}\n{}", holder.stderr()));
    assert_eq!(release.run("etc/service/holder-promise").ok(), "");
    // The CA's certificate makes it run.
    assert_eq!(release.read("hook"), "a \\ b\n");
    let home = release.path("instance");
    let shown = ["x509", "-noout", "-subject", "-issuer", "-in", "srv/holder.pem"];
    let issuer = format!("issuer=CN = Caucase CAU at localhost:{port}\n");
    assert_eq!(openssl_ok(&home, &shown), format!("subject=CN = a holder\n{issuer}"));
    let ends_within = |days: u32| {
        let seconds = (days * 24 * 60 * 60).to_string();
        openssl(&home, &["x509", "-noout", "-checkend", &seconds, "-in", "srv/holder.pem"]).code == Some(1)
    };
    assert!(ends_within(60) && !ends_within(59));
    let authority = openssl_ok(&home, &["x509", "-noout", "-text", "-in", "srv/ca.pem"]);
    assert!(authority.contains("Public-Key: (3072 bit)"), "{authority}");
}
