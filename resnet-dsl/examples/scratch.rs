fn main() {
    let text = std::fs::read_to_string(std::env::args().nth(1).unwrap()).unwrap();
    let mut g = resnet_dsl::ir::read::read(&text).unwrap();
    resnet_dsl::pass::run_until(&mut g, None, |p, g| println!("== {}\n{g}", p.name)).unwrap();
    let t = g.to_string();
    assert_eq!(resnet_dsl::ir::read::read(&t).unwrap().to_string(), t);
    let plan = resnet_dsl::plan::plan(&g).unwrap();
    println!("{plan}");
}
