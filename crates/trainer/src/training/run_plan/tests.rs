//! From what was typed to a plan: a new run, a run that is resumed, and what is refused.

use std::fs;

use image::RgbImage;
use tempfile::TempDir;

use super::*;
use crate::exit_code::ExitCode;

/// The default recipe, made small.
fn request(data: &str, set: &[&str]) -> RunRequest {
    let small = "model.scale={ width = 0.05, middle_modules = 0, stem_stride = 2, entry_strides = [2, 2, 1] }";
    let set = [small].iter().chain(set).map(ToString::to_string).collect();
    let recipe = Request { data: Some(data.to_string()), set, ..Request::default() };
    RunRequest { recipe, ..RunRequest::default() }
}

/// Two classes of six images each, in `root`.
fn write_images(root: &Path) {
    for class in ["ant", "bee"] {
        let folder = root.join(class);
        fs::create_dir_all(&folder).unwrap();
        for number in 0..6 {
            RgbImage::new(4, 4).save(folder.join(format!("{number}.png"))).unwrap();
        }
    }
}

/// A plan in a folder of its own, as a new run makes it.
fn begun(request: &RunRequest, out: &Path) -> RunPlan {
    let request = RunRequest { out: Some(out.to_path_buf()), ..request.clone() };
    let world = World::single();
    request.resolve(&world).unwrap().in_folder(&world).unwrap()
}

fn resumed(folder: &Path, recipe: Request) -> Result<RunPlan, Error> {
    let request =
        RunRequest { recipe, out: None, resume: Some(folder.to_path_buf()), extend: None };
    let world = World::single();
    request.resolve(&world)?.in_folder(&world)
}

#[test]
fn a_new_run_writes_its_plan_down() {
    let place = TempDir::new().unwrap();
    let plan = begun(&request("synthetic", &["epochs=3"]), &place.path().join("run"));
    assert_eq!((plan.recipe.epochs, plan.recipe.data.as_str()), (3, "synthetic"));
    assert!(matches!(plan.start, Start::New { weights: None }));
    assert_eq!(Recipe::read(&plan.folder.file("config.toml")).unwrap(), plan.recipe);
}

#[test]
fn a_resumed_run_has_the_plan_that_it_was_begun_with() {
    let place = TempDir::new().unwrap();
    let run = place.path().join("run");
    let recipe = begun(&request("synthetic", &[]), &run).recipe;
    let plan = resumed(&run, Request::default()).unwrap();
    assert_eq!(plan.recipe, recipe);
    assert!(matches!(plan.start, Start::Resumed { begun } if begun == recipe));
}

#[test]
fn a_run_is_not_resumed_as_another_one() {
    let place = TempDir::new().unwrap();
    let run = place.path().join("run");
    drop(begun(&request("synthetic", &[]), &run));
    write_images(&place.path().join("pets"));
    let pets = format!("folder:{}", place.path().join("pets").display());
    for (typed, expected) in [
        (Request { set: vec!["epochs=99".into()], ..Request::default() }, "now it is 99"),
        (Request { data: Some(pets), ..Request::default() }, "input: it was absent"),
    ] {
        let error = resumed(&run, typed).err().expect("it is another run");
        assert_eq!(error.exit_code(), ExitCode::Usage);
        assert!(error.to_string().contains(expected), "{error}");
    }
    let batch_size = Request { set: vec!["batch_size=64".into()], ..Request::default() };
    assert_eq!(resumed(&run, batch_size).unwrap().recipe.batch_size, 64, "for other ranks");
}

#[test]
fn files_that_were_moved_are_those_of_the_run() {
    let place = TempDir::new().unwrap();
    let [run, old, new] = ["run", "pets", "moved"].map(|name| place.path().join(name));
    write_images(&old);
    let recipe = begun(&request(&format!("folder:{}", old.display()), &[]), &run).recipe;
    assert_eq!(recipe.input.unwrap().side, 32);
    fs::rename(&old, &new).unwrap();
    let error = resumed(&run, Request::default()).err().expect("the images are gone");
    assert_eq!(error.exit_code(), ExitCode::Data);
    let moved = Request { data: Some(format!("folder:{}", new.display())), ..Request::default() };
    let plan = resumed(&run, moved).unwrap();
    assert_eq!(plan.recipe, recipe, "the run keeps its own name for them");
    assert_eq!(plan.data.train.len() + plan.data.test.len(), 12);
}

#[test]
fn a_refused_run_leaves_no_folder_and_a_resumed_one_stays() {
    let place = TempDir::new().unwrap();
    let run = place.path().join("run");
    begun(&request("synthetic", &[]), &run).discard(&World::single());
    assert!(!run.exists());
    drop(begun(&request("synthetic", &[]), &run));
    resumed(&run, Request::default()).unwrap().discard(&World::single());
    assert!(run.join("config.toml").is_file());
}

#[test]
fn words_that_no_recipe_understands_are_refused_before_anything_is_read() {
    let error = request("nowhere:at-all", &["epochs=0"]).check().unwrap_err();
    assert!(error.to_string().contains("epochs must be at least 1"), "{error}");
    let resumes = RunRequest { resume: Some("run".into()), ..request("synthetic", &["epochs=0"]) };
    resumes.check().expect("the recipe of the run is not read yet");
}
