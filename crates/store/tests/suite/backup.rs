//! Backups of a SQLite database that is in use.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use convoke_domain::{ChatId, Environment as _};
use convoke_store::{BackupError, Migrate, Progress, Reached, SqliteStore};
use convoke_test_support::TestEnvironment;
use tempfile::TempDir;

use crate::world::{Database, World, at_once, check, open, tenant};

/// Keeps what it is told: steps, and how much is done of how much.
#[derive(Default)]
pub struct Kept(pub Mutex<Vec<(String, u64, Option<u64>)>>);

impl Progress for Kept {
    fn reached(&self, reached: Reached<'_>) {
        self.0.lock().unwrap().push((reached.step.to_owned(), reached.done, reached.total));
    }
}

fn database(world: &World) -> PathBuf {
    world.home.url().strip_prefix("sqlite://").unwrap().into()
}

async fn back_up(world: &World, target: &Path, replace: bool) -> Result<u64, BackupError> {
    SqliteStore::back_up(&database(world), target, replace, &world.environment, Arc::new(())).await
}

fn names_in(folder: &TempDir) -> Vec<String> {
    let name = |there: std::io::Result<fs::DirEntry>| there.unwrap().file_name().into_string().unwrap();
    fs::read_dir(folder.path()).unwrap().map(name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_holds_what_was_written_before_it_began_while_others_write() {
    check(Database::Sqlite, async |world: &mut World| {
        let (acme, folder) = (tenant("acme"), TempDir::new().unwrap());
        let mut kept: Vec<ChatId> = Vec::new();
        for round in 0..3 {
            kept.push(world.active_chat(&acme, "Kept").await.id);
            let target = folder.path().join(format!("{round}.db"));
            let backup = back_up(world, &target, false);
            let others = at_once((0..200).map(|_| {
                let (world, acme, chat) = (world.clone(), acme.clone(), world.new_chat("Meanwhile"));
                async move { world.register_new(&acme, chat).await }
            }));
            let (bytes, _) = tokio::join!(backup, others);
            assert_eq!(fs::metadata(&target).unwrap().len(), bytes.unwrap());
            assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o600);

            let url = format!("sqlite://{}", target.display());
            let restored = open(&url, Migrate::Off, true, &TestEnvironment::new()).await.expect("a database");
            restored.ready().await.expect("its schema");
            assert_eq!(restored.examine().await.unwrap().findings, []);
            for id in &kept {
                assert!(restored.find_chat(&acme, *id).await.unwrap().is_some(), "{id} was there before");
            }
            world.finish_all(world.environment.now(), |_| crate::world::End::Made).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_there_is_replaced_only_if_that_is_asked_for() {
    check(Database::Sqlite, async |world: &mut World| {
        let folder = TempDir::new().unwrap();
        let target = folder.path().join("backup.db");
        fs::write(&target, "of yesterday").unwrap();
        let refused = back_up(world, &target, false).await.unwrap_err();
        assert!(matches!(refused, BackupError::Exists(_)), "{refused}");
        assert_eq!(fs::read(&target).unwrap(), b"of yesterday");
        back_up(world, &target, true).await.unwrap();
        assert!(fs::read(&target).unwrap().starts_with(b"SQLite format 3\0"));
        let refused = back_up(world, folder.path(), true).await.unwrap_err();
        assert!(matches!(refused, BackupError::Exists(_)), "a folder is never replaced: {refused}");
        assert_eq!(names_in(&folder), ["backup.db"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_not_replaced_by_a_copy_of_itself() {
    check(Database::Sqlite, async |world: &mut World| {
        let accepted = world.register_new(&tenant("acme"), world.new_chat("Kept")).await;
        let (database, folder) = (database(world), TempDir::new().unwrap());
        symlink(&database, folder.path().join("file.db")).unwrap();
        symlink(database.parent().unwrap(), folder.path().join("linked")).unwrap();
        let linked = |end: &str| {
            let name = database.file_name().unwrap().to_str().unwrap();
            folder.path().join("linked").join(format!("{name}{end}"))
        };
        let itself = [database.clone(), folder.path().join("file.db"), linked("")];
        for target in itself.into_iter().chain(["-wal", "-shm", "-journal", ".lock"].map(linked)) {
            let refused = back_up(world, &target, true).await.unwrap_err();
            assert!(matches!(refused, BackupError::Itself(_)), "{}: {refused}", target.display());
        }
        world.reopen().await;
        assert_eq!(world.chat(&tenant("acme"), accepted.chat_id).await.current_title(), Some("Kept"));
        assert_eq!(world.store.examine().await.unwrap().findings, []);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_a_backup_that_can_not_be_made() {
    let (folder, environment) = (TempDir::new().unwrap(), TestEnvironment::new());
    let target = folder.path().join("backup.db");
    let back_up = async |database: &Path, target: &Path| {
        SqliteStore::back_up(database, target, false, &environment, Arc::new(())).await.unwrap_err()
    };
    let mistyped = folder.path().join("mistyped.db");
    assert!(matches!(back_up(&mistyped, &target).await, BackupError::NoDatabase(_)));
    let sources = TempDir::new().unwrap();
    let text = sources.path().join("text");
    fs::write(&text, "this is no database, although it is long enough to be one. ".repeat(40)).unwrap();
    assert!(matches!(back_up(&text, &target).await, BackupError::Database(_)));
    assert_eq!(names_in(&folder), Vec::<String>::new());

    let database = sources.path().join("convoke.db");
    let url = format!("sqlite://{}", database.display());
    drop(open(&url, Migrate::Auto, false, &environment).await.unwrap());
    let nowhere = folder.path().join("no/such/folder/backup.db");
    assert!(matches!(back_up(&database, &nowhere).await, BackupError::File { .. }));
    assert_eq!(names_in(&folder), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_of_another_release_is_backed_up_as_it_is() {
    let (folder, environment) = (TempDir::new().unwrap(), TestEnvironment::new());
    let (database, target) = (folder.path().join("convoke.db"), folder.path().join("backup.db"));
    let url = format!("sqlite://{}", database.display());
    let empty = open(&url, Migrate::Off, false, &environment).await.unwrap();
    SqliteStore::back_up(&database, &target, false, &environment, Arc::new(())).await.unwrap();
    assert!(empty.ready().await.is_err(), "no schema was brought into it");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_told_how_far_a_backup_has_come() {
    check(Database::Sqlite, async |world: &mut World| {
        world.active_chat(&tenant("acme"), "Told").await;
        let (folder, kept) = (TempDir::new().unwrap(), Arc::new(Kept::default()));
        let target = folder.path().join("backup.db");
        SqliteStore::back_up(&database(world), &target, false, &world.environment, kept.clone()).await.unwrap();
        let kept = kept.0.lock().unwrap();
        let [(copying, done, Some(total)), .., (checking, 0, None)] = &kept[..] else { panic!("{kept:?}") };
        assert_eq!((copying.as_str(), checking.as_str()), ("copying", "checking the copy"));
        assert!(done <= total, "{kept:?}");
    })
    .await;
}
