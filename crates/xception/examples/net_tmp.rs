use std::collections::BTreeMap;
use std::time::Instant;
use tch::{Device, Kind, Tensor, nn};
use xception::*;
fn main() {
    torch_ext::keep_memory();
    let n: i64 = std::env::args().nth(1).map_or(1, |a| a.parse().unwrap());
    let store = nn::VarStore::new(Device::Cpu);
    let spec = ModelSpec::new(Preset::Xception);
    let model = Xception::new(&store.root(), &spec.architecture().unwrap(), 1000).unwrap();
    let inf = Inference::new(&model, Kind::Float).unwrap();
    let xs = torch_ext::channels_last(&Tensor::randn([n, 3, 299, 299], (Kind::Float, Device::Cpu)))
        .unwrap();
    let mut t: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let mut order = vec![];
    for i in 0..25 {
        let mut last = Instant::now();
        inf.logits_watched(&xs, &mut |name| {
            let d = last.elapsed().as_secs_f64();
            if i == 0 {
                order.push(name.to_string());
            }
            t.entry(name.into()).or_default().push(d);
            last = Instant::now();
        });
    }
    let mut total = 0.;
    for name in order {
        let v = t.get_mut(&name).unwrap();
        v.sort_by(f64::total_cmp);
        total += v[12];
        println!("{name:16} {:.2}", v[12] * 1e3);
    }
    println!("total {:.2}", total * 1e3);
}
