//! How a run is set.

use std::path::{Path, PathBuf};

use convoke_test_support::{Chance, Program};

/// What every torture is given.
#[derive(Debug)]
pub struct Setting {
    /// Whether it is the small edition.
    pub small: bool,
    /// The program that is tortured.
    pub program: PathBuf,
    /// That of the former release, where one is there.
    pub former: Option<PathBuf>,
    /// The seed of all chance: with the same one, chance decides the same.
    pub seed: u64,
    /// Where Schemathesis is, if it is there.
    pub schemathesis: Option<PathBuf>,
}

impl Setting {
    /// A number of the full edition, or that of the small one.
    pub fn scale<T>(&self, full: T, small: T) -> T {
        if self.small { small } else { full }
    }

    /// Chance for one of several things that happen at once.
    pub fn chance(&self, place: u64) -> Chance {
        let mut mixed = Chance::new(self.seed << 32 | place);
        Chance::new(mixed.number())
    }

    /// The program in this folder, with this database and ports of its own.
    pub fn program(&self, folder: &Path, database: &str) -> Program {
        Program::new(&self.program, folder)
            .with("CONVOKE__DATABASE__URL", database)
            .with("CONVOKE__AUTH__FIRST_TOKEN", "false")
            .with("CONVOKE__LOG__FORMAT", "json")
    }
}
