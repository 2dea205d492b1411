//! What a `run:` stage can reach: its declared inputs, its tools and the system, and nothing of the project beside them;
//! no network that it does not declare. And which shell its body runs under.

use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;
use fs_err::os::unix::fs::symlink;

use crate::support::another_user::{OTHER_USER, as_other_user, behind, give_away};
use crate::support::not_run::{has_program, not_run};
use crate::support::{Shown, Space, workspace};

/// A pipeline of one stage `a` with output `y`.
fn one(stage: &str) -> Space {
    Space::with(&format!(
        "pipe: 1\npipeline: t\nstages:\n  a:\n{stage}\n    out: {{ y: y.txt }}\nresults: {{ y.txt: $a.y }}\n"
    ))
}

/// The same, with a path in place of the word `PATH`.
fn one_with_path(stage: &str, path: impl FnOnce(&Space) -> PathBuf) -> Space {
    let space = one(stage);
    let path = path(&space);
    space.edit("pipeline.yaml", "PATH", &path.display().to_string());
    space
}

fn run(space: &Space) -> Shown {
    space.pipe(["run", "pipeline.yaml"])
}

fn script(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    fs::write(path, text).expect("writes");
    fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("sets the mode");
}

fn has_rules() -> bool {
    let has = pipe_engine::exec::writes_are_confined();
    if !has {
        not_run("a story of isolation", "this kernel has no Landlock");
    }
    has
}

/// Runs with a folder in front of `PATH`.
fn run_with_path(space: &Space, folder: &Path) -> Shown {
    let mut path = folder.as_os_str().to_owned();
    path.push(":/usr/bin:/bin");
    Shown::of(space.command(["run", "pipeline.yaml"]).env("PATH", path))
}

// Files.

#[test]
fn a_module_beside_a_declared_script_is_not_found_until_it_is_declared() {
    let space = one(
        "    run: python3 \"$IN_FIT\" > \"$OUT_Y\"\n    in: { fit: scripts/fit.py }\n    tools: { python3: python3 --version }",
    );
    space.write("scripts/fit.py", "import helper\nprint(helper.V)\n");
    space.write("scripts/helper.py", "V = 1\n");
    run(&space).exits(1).shows("No module named 'helper'").shows("`helper: scripts/helper.py`");
    space.edit("pipeline.yaml", "fit: scripts/fit.py", "fit: scripts/fit.py, helper: scripts/helper.py");
    run(&space).exits(0).shows("ran 1");
    space.write("scripts/helper.py", "V = 2\n");
    run(&space).exits(0).shows("ran 1");
    assert_eq!(space.read("results/t/y.txt"), "2\n");
}

#[test]
fn packages_that_r_and_node_do_not_find_are_explained() {
    let r = "Error in library(lme4) : there is no package called 'lme4'";
    let node = "Error: Cannot find module 'express'";
    for words in [r, node] {
        let space = one(&format!("    run: |\n      echo \"{words}\" >&2; exit 1"));
        run(&space).exits(1).shows(words).shows("`tools: { R: R --version }`").hides("add to its `in:`");
    }
}

#[test]
fn a_module_of_node_beside_a_declared_script_is_proposed() {
    let space = one(
        "    run: |\n      echo \"Error: Cannot find module './helper'\" >&2; exit 1\n    in: { fit: scripts/fit.js }",
    );
    space.write("scripts/fit.js", "require('./helper')\n");
    space.write("scripts/helper.js", "module.exports = 1\n");
    run(&space).exits(1).shows("add to its `in:` `helper: scripts/helper.js`");
}

#[test]
fn an_absolute_path_into_the_project_is_closed_and_the_line_to_add_is_proposed() {
    if !has_rules() {
        return;
    }
    let space = one_with_path("    run: cat \"$PARAM_P\" > \"$OUT_Y\"\n    with: { p: PATH }", |space| {
        space.write("data/x.csv", "1\n");
        fs::canonicalize(space.path("data/x.csv")).expect("is there")
    });
    run(&space).exits(1).shows("Permission denied").shows("`x: data/x.csv`");
}

#[test]
fn large_files_and_folders_are_reached_by_links_that_open_nothing_else() {
    let body = "    run: 'head -c 1 \"$IN_BIG\" | od -An -tu1 > \"$OUT_Y\"; cat \"$IN_FOLDER\"/in \"$IN_FOLDER\"/out >> \"$OUT_Y\"; test -h \"$IN_BIG\"; test ! -h \"$IN_SMALL\"'\n    in: { big: big.bin, folder: folder, small: small.txt }";
    let space = one(body);
    space.write("big.bin", vec![7; (16 << 20) + 1]);
    space.write("small.txt", "1\n");
    space.write("folder/in", "in\n");
    space.write("elsewhere/out", "out\n");
    symlink("../elsewhere/out", space.path("folder/out")).expect("links");
    run(&space).exits(0);
    assert_eq!(space.read("results/t/y.txt"), "   7\nin\nout\n");
}

#[test]
fn a_body_that_changes_an_input_changes_its_own_copy() {
    let space =
        one("    run: chmod 777 tool.sh; ./tool.sh > \"$OUT_Y\"; echo spoilt > tool.sh\n    in: { tool: tool.sh }");
    space.write("tool.sh", "#!/bin/sh\necho hi\n");
    fs::set_permissions(space.path("tool.sh"), std::fs::Permissions::from_mode(0o440)).expect("sets the mode");
    run(&space).exits(0);
    assert_eq!(space.read("tool.sh"), "#!/bin/sh\necho hi\n");
    assert_eq!(fs::metadata(space.path("tool.sh")).expect("is there").mode() & 0o777, 0o440);
}

/// Mode and modification time of a file of the project.
fn mode_and_time(space: &Space, name: &str) -> (u32, i64) {
    let found = fs::metadata(space.path(name)).expect("is there");
    (found.mode() & 0o777, found.mtime())
}

/// A stage with this body and a large file, a folder and a file beside them.
fn changes(body: &str, more: &str) -> Space {
    let body = body.replace('"', "\\\"");
    let stage = format!(
        "    run: \"{body}; echo 1 > $OUT_Y\"\n    in: {{ big: big.bin, data: data }}{more}\n    env: {{ PROJECT: PATH }}"
    );
    let space = one_with_path(&stage, Space::project);
    space.write("big.bin", vec![7; (16 << 20) + 1]);
    space.write("data/below/x", "1");
    space.write("other", "1");
    space
}

/// Whether this system allows mounts that only a stage sees. `unshare` is asked: a `pipe` that fails to make them
/// would otherwise end this story without a failure.
fn allows_read_only_mounts(what: &str) -> bool {
    if !has_program("unshare", what) {
        return false;
    }
    let mut unshare = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        unshare.arg("--map-root-user");
    }
    let made = unshare.args(["--mount", "chroot", "/", "true"]).output().expect("unshare starts");
    if !made.status.success() {
        let reason = String::from_utf8_lossy(&made.stderr).trim().to_owned();
        not_run(what, &format!("this system allows no mount namespace ({reason})"));
        return false;
    }
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse::<u32>().ok());
    let is_new = (numbers.next(), numbers.next()) >= (Some(5), Some(12));
    if !is_new {
        not_run(what, &format!("kernel {release} cannot make mounts read-only as a whole, which came with 5.12"));
    }
    is_new
}

const UNTOUCHED: [&str; 5] = ["big.bin", "data", "data/below", "data/below/x", "other"];

#[test]
fn permissions_and_times_outside_of_a_stage_cannot_be_changed() {
    if !allows_read_only_mounts("permissions outside of a stage") {
        return;
    }
    for change in ["chmod 700", "touch -d 2001-01-01", "chgrp 0"] {
        for name in UNTOUCHED {
            let space = changes(&format!("{change} \"$PROJECT/{name}\""), "");
            let before = UNTOUCHED.map(|name| mode_and_time(&space, name));
            run(&space).exits(1).shows("failed a").shows("Read-only file system").shows(name);
            assert_eq!(UNTOUCHED.map(|name| mode_and_time(&space, name)), before, "{change} {name}");
        }
    }
    // What is a stage's own it may change, and also shared memory.
    let body = "touch new ../tmp/t; chmod 600 new ../tmp/t; cp -r $IN_DATA copy; chmod -R 700 copy; touch /dev/shm/$EACH_N; chmod 600 /dev/shm/$EACH_N; rm /dev/shm/$EACH_N; chmod 700 $IN_BIG || true";
    let space = changes(body, "\n    each: { n: [pipe-story] }");
    space.edit("pipeline.yaml", "results: { y.txt: $a.y }", "");
    run(&space).exits(0);
}

#[test]
fn permissions_of_inputs_are_given_back_where_the_kernel_does_not_refuse_to_change_them() {
    for (change, name) in [
        ("chmod 700 big.bin", "big.bin"),
        ("chmod 700 data", "data"),
        ("chmod 700 data/below/x", "data/below/x"),
        ("chmod 0 data/below/x data/below data", "data"),
    ] {
        let space = changes(change, "\n    isolation: none");
        let before = UNTOUCHED.map(|name| mode_and_time(&space, name));
        run(&space).exits(1).shows("failed a").shows(&format!("the permissions of `{name}`, an input, changed"));
        assert_eq!(UNTOUCHED.map(|name| mode_and_time(&space, name)), before, "{name}");
    }
}

#[test]
fn installations_of_tools_are_readable_around_their_bin() {
    // A conda-like prefix: its program reads a library of the prefix.
    let space = one("    run: fit > \"$OUT_Y\"\n    tools: { fit: fit --version }");
    let conda = space.root().join("miniconda/envs/e");
    script(
        &conda.join("bin/fit"),
        &format!("#!/bin/sh\nif [ \"${{1-}}\" = --version ]; then echo 1; else cat {}/lib/data; fi\n", conda.display()),
    );
    fs::create_dir_all(conda.join("lib")).expect("a folder");
    fs::write(conda.join("lib/data"), "of the prefix\n").expect("writes");
    run_with_path(&space, &conda.join("bin")).exits(0);
    assert_eq!(space.read("results/t/y.txt"), "of the prefix\n");

    // A tool in a folder of the home folder, reached by a link, with its licence beside it.
    let space = one("    run: segment > \"$OUT_Y\"");
    let home = space.root();
    script(&home.join("segmenter/segment"), "#!/bin/sh\ncat \"$(dirname \"$(readlink -f \"$0\")\")/license.txt\"\n");
    fs::write(home.join("segmenter/license.txt"), "licensed\n").expect("writes");
    fs::create_dir_all(home.join("bin")).expect("a folder");
    symlink("../segmenter/segment", home.join("bin/segment")).expect("links");
    run_with_path(&space, &home.join("bin")).exits(0);
    assert_eq!(space.read("results/t/y.txt"), "licensed\n");
}

#[test]
fn of_a_tool_in_the_project_only_the_tool_is_read() {
    if !has_rules() {
        return;
    }
    let space = one("    run: fit > \"$OUT_Y\"");
    let scripts = space.path("scripts");
    script(&scripts.join("fit"), "#!/bin/sh\n. \"$(dirname \"$0\")/helper.sh\"\necho $V\n");
    script(&scripts.join("helper.sh"), "V=1\n");
    run_with_path(&space, &scripts).exits(1).shows("helper.sh");
    script(&scripts.join("fit"), "#!/bin/sh\necho 2\n");
    run_with_path(&space, &scripts).exits(0);
    assert_eq!(space.read("results/t/y.txt"), "2\n");
}

#[test]
fn a_shim_is_known_by_the_version_it_starts() {
    for tools in ["", "\n    tools: { fit: fit --version }"] {
        let space = one(&format!("    run: fit > \"$OUT_Y\"{tools}"));
        let manager = space.root().join("manager");
        let choose = |version: &str| {
            let program = format!("#!/bin/sh\necho fit {version}\n");
            script(&manager.join(format!("versions/{version}/bin/fit")), &program);
            fs::write(manager.join("version"), version).expect("writes");
        };
        let shim =
            format!("#!/bin/sh\nroot={}\nexec \"$root/versions/$(cat $root/version)/bin/fit\"\n", manager.display());
        script(&manager.join("shims/fit"), &shim);
        for version in ["1.0", "2.0"] {
            choose(version);
            run_with_path(&space, &manager.join("shims")).exits(0).shows("ran 1");
            assert_eq!(space.read("results/t/y.txt"), format!("fit {version}\n"));
            run_with_path(&space, &manager.join("shims")).exits(0).shows("ran 0");
        }
    }
    let space = one("    run: fit > \"$OUT_Y\"");
    script(&space.root().join("shims/fit"), "#!/bin/sh\ntest \"$1\" != --version\n");
    run_with_path(&space, &space.root().join("shims")).exits(3).shows("is a shim").shows("tools: { fit: ... }");
}

#[test]
fn a_variable_that_is_not_set_is_called_by_its_name_in_the_body() {
    let space = one("    run: echo $sid $who > \"$OUT_Y\"\n    each: { sid: [s1] }\n    with: { who: x }");
    space.edit("pipeline.yaml", "results: { y.txt: $a.y }", "");
    // What is written plainly is seen before anything runs, the rest when it fails.
    run(&space).exits(2).shows("axis `sid` is `$EACH_SID`").shows("parameter `who` is `$PARAM_WHO`");
    space.edit("pipeline.yaml", "echo $sid $who", "eval 'echo $sid';  echo x");
    run(&space).exits(1).shows("`$sid` is not set in a body: the axis `sid` is `$EACH_SID`");
}

#[test]
fn a_program_that_a_body_names_by_its_path_is_in_the_key() {
    let program = |space: &Space| fs::canonicalize(space.root()).expect("a folder").join("sw/bin/fit");
    let space = one_with_path("    run: PATH > \"$OUT_Y\"", program);
    let program = program(&space);
    for answer in ["one", "two"] {
        script(&program, &format!("#!/bin/sh\necho {answer}\n"));
        run(&space).exits(0).shows("ran 1");
        assert_eq!(space.read("results/t/y.txt"), format!("{answer}\n"));
    }
}

#[test]
fn a_virtual_environment_of_a_python_in_the_home_folder_works() {
    let space = one(
        "    run: python -c 'import sys; print(sys.prefix != sys.base_prefix)' > \"$OUT_Y\"\n    tools: { python: { venv: .venv } }",
    );
    // The base as pyenv has it: a version in the home folder whose program is a link to the real one.
    let real = fs::canonicalize("/usr/bin/python3").expect("a python");
    let base = space.root().join(".pyenv/versions/3");
    fs::create_dir_all(base.join("bin")).expect("a folder");
    fs::copy(&real, base.join("bin/python3")).expect("copies");
    fs::create_dir_all(base.join("lib")).expect("a folder");
    for folder in fs::read_dir("/usr/lib").expect("libraries").flatten() {
        if folder.file_name().to_string_lossy().starts_with("python3.") {
            let copied = Command::new("cp").arg("-r").arg(folder.path()).arg(base.join("lib")).status();
            assert!(copied.expect("cp").success());
        }
    }
    let made =
        Command::new(base.join("bin/python3")).args(["-m", "venv", "--without-pip"]).arg(space.path(".venv")).status();
    assert!(made.expect("python").success());
    run(&space).exits(0);
    assert_eq!(space.read("results/t/y.txt"), "True\n");
}

#[test]
fn a_users_r_library_is_found_readable_and_in_the_key() {
    let space = one("    run: Rscript fit > \"$OUT_Y\"\n    tools: { R: Rscript --version }");
    let bin = space.root().join("r/bin");
    script(
        &bin.join("Rscript"),
        "#!/bin/sh\nif [ \"$1\" = --version ]; then echo 'Rscript version 4.3.1'; else cat \"$R_LIBS_USER/lme4/DESCRIPTION\"; fi\n",
    );
    for version in ["4.2", "4.3", "4.4"] {
        let package = space.root().join(format!("R/x86_64-pc-linux-gnu-library/{version}/lme4"));
        // As renv has it: the package is a link into a cache.
        let cached = space.root().join("renv/cache").join(version);
        fs::create_dir_all(package.parent().expect("a library")).expect("a folder");
        fs::create_dir_all(&cached).expect("a folder");
        fs::write(cached.join("DESCRIPTION"), format!("Version: for {version}\n")).expect("writes");
        symlink(&cached, &package).expect("links");
    }
    run_with_path(&space, &bin).exits(0).shows("ran 1");
    assert_eq!(space.read("results/t/y.txt"), "Version: for 4.3\n");
    let package = space.root().join("R/x86_64-pc-linux-gnu-library/4.3/lme4/DESCRIPTION");
    fs::write(package, "Version: newer\n").expect("writes");
    run_with_path(&space, &bin).exits(0).shows("ran 1");
    assert_eq!(space.read("results/t/y.txt"), "Version: newer\n");
}

#[test]
fn pipe_toml_opens_further_folders_and_is_not_in_the_key() {
    if !has_rules() {
        return;
    }
    let software = |space: &Space| fs::canonicalize(space.root()).expect("a folder").join("sw");
    let space = one_with_path("    run: cat \"$PARAM_SW/x\" > \"$OUT_Y\"\n    with: { sw: PATH }", software);
    let software = software(&space);
    fs::create_dir_all(&software).expect("a folder");
    fs::write(software.join("x"), "x\n").expect("writes");
    run(&space).exits(1).shows("readable: [...]").shows(&software.join("x").display().to_string());
    space.write("pipe.toml", "readable = [\"/sw\", \"~/sw\"]\n");
    run(&space).exits(0).shows("ran 1");
    space.write("pipe.toml", "readable = []\n");
    run(&space).exits(0).shows("hits 1");
    space.write("pipe.toml", "\nreadible = []\n");
    run(&space).exits(2).shows("unknown key `readible`").shows("pipe.toml:2:1").shows("its keys are `readable`");
}

#[test]
fn a_stage_without_isolation_is_shown_in_its_record() {
    let stage = "    run: cat \"$PARAM_P\" > \"$OUT_Y\"\n    isolation: none\n    with: { p: PATH }";
    let space = one_with_path(stage, |space| space.path("x"));
    space.write("x", "undeclared\n");
    run(&space).exits(0);
    assert_eq!(space.read("results/t/y.txt"), "undeclared\n");
    space
        .pipe(["status", "pipeline.yaml", "--json"])
        .exits(0)
        .shows("\"isolation\":\"none\"")
        .shows("\"network\":\"open\"");
    space.edit("pipeline.yaml", "isolation: none", "isolation: some");
    run(&space).exits(2).shows("`isolation` is `none`, found");
}

#[test]
fn a_container_that_may_not_mount_is_explained_unless_the_stage_has_no_isolation() {
    let words = "newuidmap: write to uid_map failed: Operation not permitted";
    let space = one(&format!("    run: |\n      echo '{words}' >&2; exit 1"));
    run(&space).exits(1).shows(words).shows("a rootless container needs `isolation: none` on the stage");
    space.edit("pipeline.yaml", "    run:", "    isolation: none\n    run:");
    run(&space).exits(1).shows(words).hides("rootless").hides("`isolation: none`");
}

// Network.

#[test]
fn a_stage_has_its_own_loopback_and_no_other_network() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let connect = format!(
        "python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", {port}), 5); print(1)' > \"$OUT_Y\""
    );
    let space = one(&format!("    run: |\n      {connect}\n    tools: {{ python3: python3 --version }}"));
    let shown = run(&space);
    let network = space.pipe(["status", "pipeline.yaml", "--json"]);
    if shown.code() == 0 {
        network.shows("\"network\":\"open\"");
        return not_run("a story of isolation", "this system allows no network namespace");
    }
    shown.exits(1).shows("net: true");
    space.edit("pipeline.yaml", "    run: |", "    net: true\n    run: |");
    run(&space).exits(0);
    space.pipe(["status", "pipeline.yaml", "--json"]).shows("\"network\":\"declared\"");

    // As R's socket clusters: a server and a client of its own, over TCP; and over UDP.
    let cluster = "import socket as s
      for kind in (s.SOCK_STREAM, s.SOCK_DGRAM):
          a = s.socket(s.AF_INET, kind); a.bind((\"127.0.0.1\", 0)); b = s.socket(s.AF_INET, kind)
          if kind == s.SOCK_STREAM: a.listen()
          b.connect(a.getsockname()); b.send(b\"x\")
          print((a.accept()[0] if kind == s.SOCK_STREAM else a).recv(1).decode())
      try: s.socket(s.AF_INET, s.SOCK_DGRAM).sendto(b\"x\", (\"192.0.2.1\", 53)); print(\"out\")
      except OSError: print(\"closed\")";
    let body = format!(
        "    run: |\n      #!/usr/bin/env python3\n      import os, sys\n      sys.stdout = open(os.environ[\"OUT_Y\"], \"w\")\n      {cluster}"
    );
    let space = one(&body);
    run(&space).exits(0);
    assert_eq!(space.read("results/t/y.txt"), "x\nx\nclosed\n");
}

#[test]
fn where_the_system_allows_no_network_namespace_the_record_says_so() {
    let space = one("    run: echo 1 > \"$OUT_Y\"");
    let without = ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"];
    let mut without_the_right = behind(&without, &space.command(["run", "pipeline.yaml"]));
    if !rustix::process::geteuid().is_root() || without_the_right.output().is_err() {
        let why = "only root without its right to make namespaces is such a user, and `setpriv` makes one";
        return not_run("a story of isolation", why);
    }
    space
        .pipe(["status", "pipeline.yaml", "--json"])
        .exits(0)
        .shows("\"network\":\"open\"")
        .shows("\"isolation\":\"full\"");
    space.pipe(["status", "pipeline.yaml", "--json"]).shows("network: open (this system allows no network namespace");
}

#[test]
fn what_one_stage_listened_on_is_free_for_the_next() {
    let body = "    each: { n: 1..6 }\n    run: |\n      #!/usr/bin/env python3\n      import os, socket\n      s = socket.socket(); s.bind((\"127.0.0.1\", 4711)); s.listen()\n      open(os.environ[\"OUT_Y\"], \"w\").write(\"1\")";
    let space = Space::with(&format!("pipe: 1\npipeline: t\nstages:\n  a:\n{body}\n    out: {{ y: y.txt }}\n"));
    let shown = space.pipe(["run", "pipeline.yaml", "-j", "3"]);
    if shown.stderr.contains("network: open") {
        return not_run("a story of isolation", "this system allows no network namespace");
    }
    shown.exits(0).shows("ran 6");
}

// Shells.

#[test]
fn a_failure_in_a_pipe_is_a_failure_and_the_shell_is_in_the_key() {
    let space = one("    run: cat nope | wc -l > \"$OUT_Y\"");
    run(&space).exits(1).shows("nope");
    space.edit("pipeline.yaml", "    run:", "    shell: sh\n    run:");
    run(&space).exits(0).shows("ran 1");
    assert_eq!(space.read("results/t/y.txt").trim(), "0");
    let space = one("    run: echo 1 > \"$OUT_Y\"");
    run(&space).exits(0).shows("ran 1");
    space.edit("pipeline.yaml", "    run:", "    shell: sh\n    run:");
    run(&space).exits(0).shows("ran 1");
    space.edit("pipeline.yaml", "shell: sh", "shell: zsh");
    run(&space).exits(2).shows("`shell` is `bash` or `sh`, found");
}

#[test]
fn the_book_says_which_failures_bash_does_not_see_and_the_advice_works() {
    let page = workspace().join("docs/book/run-stages.md");
    let page = fs::read_to_string(page).expect("the page about `run:` stages");
    for text in ["`<(...)`", "`local x=$(...)`", "`local x; x=$(...)`"] {
        assert!(page.contains(text), "docs/book/run-stages.md does not say {text}");
    }
    for (body, code) in [
        ("cat <(cat nope) > $OUT_Y; echo 1 >> $OUT_Y", 0),
        ("f() { local x=$(cat nope); echo \"<$x>\"; }; f > $OUT_Y", 0),
        ("f() { local x; x=$(cat nope); echo \"<$x>\"; }; f > $OUT_Y", 1),
        ("f() { local x; x=$(echo 1); echo \"<$x>\"; }; f > $OUT_Y", 0),
    ] {
        run(&one(&format!("    run: |\n      {body}"))).exits(code);
    }
}

#[test]
fn a_reader_that_stops_early_is_explained_and_the_advice_works() {
    let space = one("    run: yes | head -1 > \"$OUT_Y\"");
    run(&space).exits(1).shows("141").shows("SIGPIPE").shows("sed -n 1p").shows("test $? = 141");
    space.edit(
        "pipeline.yaml",
        "run: yes | head -1 > \"$OUT_Y\"",
        "run: '{ yes || test $? = 141; } | head -1 > \"$OUT_Y\"'",
    );
    run(&space).exits(0);
}

#[test]
fn a_body_that_names_its_program_runs_under_it() {
    let space = one(
        "    run: |\n      #!/usr/bin/env python3\n      import os, helper\n      open(os.environ['OUT_Y'], 'w').write(helper.V)\n    in: { helper: helper.py }",
    );
    space.write("helper.py", "V = 'python'\n");
    run(&space).exits(0);
    assert_eq!(space.read("results/t/y.txt"), "python");
    space.edit("pipeline.yaml", "env python3", "env pyhton3");
    run(&space).exits(3).shows("`pyhton3` was not found");
    for (line, instead) in
        [("#!python3", "#!/usr/bin/env python3"), ("#!/usr/bin/env python3 -u", "#!/usr/bin/env -S python3 -u")]
    {
        let space = one(&format!("    run: |\n      {line}\n      print(1)"));
        let shown = space.pipe(["plan", "pipeline.yaml"]).exits(2);
        shown
            .shows("the body cannot run under its first line")
            .shows("pipeline.yaml:6:")
            .shows(&format!("write `{instead}`"));
        space.edit("pipeline.yaml", line, instead);
        space.edit("pipeline.yaml", "print(1)", "import os; open(os.environ['OUT_Y'], 'w').write('1')");
        run(&space).exits(0);
    }
}

#[test]
fn a_body_that_ends_without_a_word_is_explained() {
    for body in [
        "grep x /dev/null > $OUT_Y",
        "echo 1 > $OUT_Y; [ -e nothing ] && cat nothing",
        "n=0; ((n++)); echo $n > $OUT_Y",
    ] {
        run(&one(&format!("    run: '{body}'"))).exits(1).shows("hint: under `-e`").shows("`grep` that finds nothing");
    }
    // Not where the log has the cause, where the code is another one, or where no shell reads the body.
    for body in ["'echo \"error: no such subject\"; exit 1'", "exit 3", "\"#!/usr/bin/env python3\\nexit(1)\""] {
        run(&one(&format!("    run: {body}"))).exits(1).hides("under `-e`");
    }
}

#[test]
fn an_optional_input_that_stays_unset_is_empty() {
    let space = Space::with(
        "pipe: 1\npipeline: t\nprofiles:\n  all: { default: true }\n  less: { stages: { b: none } }\nstages:\n  b: { run: 'echo b > \"$OUT_Y\"', out: { y: y.txt } }\n  a:\n    run: 'echo \"<$IN_B>\" > \"$OUT_Y\"'\n    in: { b: $b.y }\n    optional: b\n    out: { y: y.txt }\nresults: { y.txt: $a.y }\n",
    );
    space.pipe(["run", "pipeline.yaml"]).exits(0);
    assert_eq!(space.read("results/t/all/y.txt"), "<../in/b.txt>\n");
    space.pipe(["run", "pipeline.yaml", "--profile", "less"]).exits(0);
    assert_eq!(space.read("results/t/less/y.txt"), "<>\n");
    space.edit("pipeline.yaml", "optional: b", "optional: c");
    space.pipe(["plan", "pipeline.yaml"]).exits(2).shows("has no input `c` that could be optional");
}

// Words.

#[test]
fn what_is_too_large_for_the_system_is_named() {
    let items = (0..20_000).map(|n| format!("subject{n:06}")).collect::<Vec<_>>().join(", ");
    let space = one(&format!("    run: echo \"$PARAM_L\" > \"$OUT_Y\"\n    with: {{ l: [{items}] }}"));
    run(&space).exits(2).shows("`PARAM_L` (parameter `l`) has").shows("hint: write the list to a file");
    let lists = (0..40).map(|n| format!("p{n}: \"{}\"", "x".repeat(100_000))).collect::<Vec<_>>().join(", ");
    let space = one(&format!("    run: echo 1 > \"$OUT_Y\"\n    with: {{ {lists} }}"));
    run(&space).exits(2).shows("larger together than the system allows").shows("PARAM_P");
    let space = one(&format!("    run: |\n      # {}\n      echo 1 > \"$OUT_Y\"", "x".repeat(140_000)));
    run(&space).exits(2).shows("the body has 14");
}

#[test]
fn a_program_that_was_killed_a_dangling_link_and_ports_of_one_variable_are_named() {
    let space = one("    run: sh -c 'kill -9 $$'; echo 1 > \"$OUT_Y\"");
    run(&space).exits(1).shows("exit code 137").shows("SIGKILL").shows("memory");
    let space = one("    run: ls \"$IN_X\" > \"$OUT_Y\"\n    in: { x: d }");
    space.write("d/a", "1");
    symlink("nowhere", space.path("d/broken")).expect("links");
    run(&space)
        .exits(2)
        .shows("d/broken")
        .shows("is a symbolic link to something that does not exist")
        .shows("`nowhere`")
        .hides("d` does not exist");
    let space = one("    run: cat \"$IN_X\" > \"$OUT_Y\"\n    in: { x: link }");
    symlink("../nowhere/x.csv", space.path("link")).expect("links");
    run(&space).exits(2).shows("the input `link` is a symbolic link to `../nowhere/x.csv`, which does not exist");
    space.edit("pipeline.yaml", "x: link", "x: link/below");
    run(&space).exits(2).shows("the input `link/below` cannot be read: `link` is a symbolic link to");
    space.edit("pipeline.yaml", "x: link/below", "x: itself");
    symlink("itself", space.path("itself")).expect("links");
    run(&space).exits(2).shows("the input `itself` is a symbolic link to `itself`, which cannot be followed");
    let space = one("    run: echo 1 > \"$OUT_Y\"\n    in: { a-b: pipeline.yaml, a_b: pipeline.yaml }");
    space
        .pipe(["plan", "pipeline.yaml"])
        .exits(2)
        .shows("input `a-b` and input `a_b` both become the variable `IN_A_B`");
}

#[test]
fn outputs_without_permissions_are_stored_and_paths_that_are_too_long_are_named() {
    let space = one("    run: umask 777; echo 1 > \"$OUT_Y\"");
    run(&space).exits(0);
    assert_eq!(space.read("results/t/y.txt"), "1\n");
    let space = Space::with(
        "pipe: 1\npipeline: t\nstages:\n  a: { run: 'mkdir \"$OUT_Y/d\"; echo 1 > \"$OUT_Y/d/f\"; chmod 0 \"$OUT_Y/d/f\" \"$OUT_Y/d\" \"$OUT_Y\"', out: { y: y/ } }\nresults: { y/: $a.y }\n",
    );
    run(&space).exits(0);
    assert_eq!(space.read("results/t/y/d/f"), "1\n");
    let space = one("    run: echo 1 > \"$OUT_Y\"");
    space.edit("pipeline.yaml", "y: y.txt }\nresults", "y: ./y.txt }\nresults");
    run(&space).exits(0);
}

/// Root reads and lists everything whatever its permissions are, so this is run by another user.
#[test]
fn a_user_without_rights_stores_outputs_that_a_body_made_unreadable() {
    const WHAT: &str = "unreadable outputs of a user without rights";
    let space = Space::with(
        "pipe: 1\npipeline: t\nstages:\n  a: { run: 'umask 777; echo 1 > \"$OUT_Y\"', out: { y: y.txt } }\n  b:\n    \
         run: 'mkdir $OUT_Y/d; echo 2 > $OUT_Y/d/f; chmod 0 $OUT_Y/d/f $OUT_Y/d $OUT_Y'\n    out: { y: y/ }\n\
         results: { y.txt: $a.y, y/: $b.y }\n",
    );
    let mut command = space.command(["run", "pipeline.yaml"]);
    if rustix::process::geteuid().is_root() {
        if !has_program("setpriv", WHAT) {
            return;
        }
        // The built one may be in a folder that is closed to other users.
        let program = space.root().join("pipe");
        fs::copy(command.get_program(), &program).expect("the binary can be copied");
        give_away(space.root(), OTHER_USER);
        if !as_other_user(&[], Command::new("test").arg("-x").arg(&program)).status().expect("it starts").success() {
            return not_run(WHAT, "root cannot become another user here, or that user cannot reach temporary files");
        }
        let mut own = Command::new(&program);
        own.args(command.get_args()).current_dir(space.project());
        own.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command = as_other_user(&[], &own);
    }
    Shown::of(&mut command).exits(0).shows("ran 2");
    assert_eq!(space.read("results/t/y.txt"), "1\n");
    assert_eq!(space.read("results/t/y/d/f"), "2\n");
}

/// A stage that runs Python from a virtual environment of the project, and the folder of packages in it.
fn with_environment(code: &str) -> (Space, PathBuf) {
    let space = one(&format!("    run: python -c '{code}' > \"$OUT_Y\"\n    tools: {{ python: {{ venv: .venv }} }}"));
    let made = Command::new("/usr/bin/python3").args(["-m", "venv", "--without-pip"]).arg(space.path(".venv")).status();
    assert!(made.expect("python").success());
    let versions = fs::read_dir(space.path(".venv/lib")).expect("a library").flatten().map(|entry| entry.path());
    let packages = versions.last().expect("a version").join("site-packages");
    (space, packages)
}

#[test]
fn an_editable_install_is_part_of_its_environment() {
    let (space, packages) = with_environment("import mylib; print(mylib.V)");
    fs::write(packages.join("__editable__.mylib.pth"), format!("{}\n", space.path("src").display())).expect("writes");
    space.write("src/mylib/__init__.py", "V = 1\n");
    run(&space).exits(0).shows("ran 1");
    run(&space).exits(0).shows("hits 1");
    space.write("src/mylib/__init__.py", "V = 2\n");
    run(&space).exits(0).shows("ran 1");
    assert_eq!(space.read("results/t/y.txt"), "2\n");
}

#[test]
fn links_out_of_an_environment_are_readable_and_in_the_key() {
    let (space, packages) =
        with_environment("import package, module, installed; print(package.V, module.V, installed.V)");
    // A package and a module that are links, and a distribution whose installer linked its files to its cache.
    space.write("elsewhere/package/__init__.py", "from .deep import V\n");
    space.write("deeper/deep.py", "V = 1\n");
    symlink(space.path("deeper/deep.py"), space.path("elsewhere/package/deep.py")).expect("links");
    symlink(space.path("elsewhere/package"), packages.join("package")).expect("links");
    space.write("elsewhere/module.py", "V = 2\n");
    symlink(space.path("elsewhere/module.py"), packages.join("module.py")).expect("links");
    space.write("installer/archive/installed.py", "V = 3\n");
    fs::create_dir_all(packages.join("installed")).expect("a folder");
    symlink(space.path("installer/archive/installed.py"), packages.join("installed/__init__.py")).expect("links");
    fs::create_dir_all(packages.join("installed-1.dist-info")).expect("a folder");
    fs::write(packages.join("installed-1.dist-info/RECORD"), "installed/__init__.py,sha256=x,3\n").expect("writes");
    run(&space).exits(0).shows("ran 1");
    assert_eq!(space.read("results/t/y.txt"), "1 2 3\n");
    run(&space).exits(0).shows("hits 1");
    space.write("deeper/deep.py", "V = 4\n");
    run(&space).exits(0).shows("ran 1");
    assert_eq!(space.read("results/t/y.txt"), "4 2 3\n");
}
