//! The first line of a body that names its program (`#!PROGRAM ARGUMENT`), read as the kernel reads such a line, and what is
//! wrong with it that shows without looking at the machine.

/// The first line of a body, taken apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ProgramLine<'t> {
    /// The line without `#!`.
    pub text: &'t str,
    pub program: &'t str,
    /// All the rest of the line is one argument.
    pub argument: Option<&'t str>,
}

impl<'t> ProgramLine<'t> {
    /// The line that a body begins with; `None` if it names no program, as bodies for a shell.
    pub fn of(body: &'t str) -> Option<Self> {
        let text = body.strip_prefix("#!")?.lines().next().unwrap_or_default().trim();
        let (program, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        Some(Self { text, program, argument: Some(rest.trim()).filter(|argument| !argument.is_empty()) })
    }

    /// Whether the program is `env`, which starts another.
    pub fn is_env(&self) -> bool {
        self.program.rsplit('/').next() == Some("env")
    }

    /// The program that `env` starts: after its options and assignments.
    pub fn started_by_env(&self) -> Option<&'t str> {
        let argument = self.argument.filter(|_| self.is_env())?;
        argument.split_whitespace().find(|word| !word.starts_with('-') && !word.contains('='))
    }

    /// Why no machine can run it, and the line to write instead.
    pub fn fault(&self) -> Option<(&'static str, String)> {
        let rest = self.argument.map(|argument| format!(" {argument}")).unwrap_or_default();
        match (self.program, self.argument) {
            ("", _) => Some(("it names no program", "#!/usr/bin/env python3".to_owned())),
            (program, _) if !program.starts_with('/') => {
                let name = program.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("python3");
                let why = "a program is named there by its absolute path, or through `env`";
                Some(match (name, self.argument) {
                    ("env", argument) => (why, format!("#!/usr/bin/env {}", argument.unwrap_or("python3"))),
                    (_, None) => (why, format!("#!/usr/bin/env {name}")),
                    (_, Some(_)) => (why, format!("#!/usr/bin/env -S {name}{rest}")),
                })
            }
            (_, None) if self.is_env() => {
                Some(("it does not say what `env` is to start", format!("#!{} python3", self.program)))
            }
            (_, Some(argument)) if self.is_env() && is_several(argument) => {
                Some(("the system hands all that follows to `env` as one name", format!("#!{} -S{rest}", self.program)))
            }
            _ => None,
        }
    }
}

/// Whether an argument of `env` has several words which it does not split.
fn is_several(argument: &str) -> bool {
    let first = argument.split_whitespace().next().unwrap_or_default();
    let splits = first.starts_with("--split-string")
        || (!first.starts_with("--") && first.starts_with('-') && first.contains('S'));
    !splits && argument.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_the_kernel_reads_it() {
        let line = ProgramLine::of("#! /bin/sh -x -y \nrest").expect("a line");
        assert_eq!((line.text, line.program, line.argument), ("/bin/sh -x -y", "/bin/sh", Some("-x -y")));
        assert_eq!(ProgramLine::of("# no\n#!/bin/sh"), None);
        let line = ProgramLine::of("#!/usr/bin/env -S LANG=C python3 -u").expect("a line");
        assert_eq!(line.started_by_env(), Some("python3"));
    }

    #[test]
    fn what_no_machine_can_run_is_answered_with_the_line_to_write() {
        let instead = |line: &str| ProgramLine::of(line).expect("a line").fault().map(|(_, line)| line);
        for (line, expected) in [
            ("#!python3", "#!/usr/bin/env python3"),
            ("#!python3 -u", "#!/usr/bin/env -S python3 -u"),
            ("#!env python3", "#!/usr/bin/env python3"),
            ("#!./tool.py", "#!/usr/bin/env tool.py"),
            ("#!", "#!/usr/bin/env python3"),
            ("#!/usr/bin/env", "#!/usr/bin/env python3"),
            ("#!/usr/bin/env python3 -u", "#!/usr/bin/env -S python3 -u"),
        ] {
            assert_eq!(instead(line).as_deref(), Some(expected), "{line}");
        }
        for line in ["#!/bin/sh -x -y", "#!/usr/bin/env python3", "#!/usr/bin/env -S python3 -u", "#!/opt/x"] {
            assert_eq!(instead(line), None, "{line}");
        }
    }
}
