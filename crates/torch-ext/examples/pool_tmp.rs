use std::time::Instant;
use tch::{Device, Kind, Tensor};
use torch_ext::*;
fn main() {
    keep_memory();
    let o = (Kind::Float, Device::Cpu);
    for (side, c) in [(147, 128), (74, 256), (37, 728), (19, 1024)] {
        let xs = channels_last(&Tensor::randn([1, c, side, side], o)).unwrap();
        let out = (side + 2 - 3) / 2 + 1;
        let mut ts = vec![];
        for _ in 0..50 {
            let t = Instant::now();
            drop(max_pool2d(
                &FeatureMap::from(&xs),
                PoolGeometry { kernel: 3, stride: 2, before: [1, 1], output: [out, out] },
            ));
            ts.push(t.elapsed().as_secs_f64());
        }
        ts.sort_by(f64::total_cmp);
        println!("pool {side} {c}: {:.2} ms", ts[25] * 1e3);
    }
    let f = channels_last(&Tensor::randn([1, 2048, 10, 10], o)).unwrap();
    let w = Tensor::randn([1000, 2048], o);
    let b = Tensor::randn([1000], o);
    let mut ts = vec![];
    let mut us = vec![];
    for _ in 0..50 {
        let t = Instant::now();
        let m = f.mean_dim([2_i64, 3].as_slice(), false, Kind::Float);
        ts.push(t.elapsed().as_secs_f64());
        let t = Instant::now();
        drop(m.linear(&w, Some(&b)));
        us.push(t.elapsed().as_secs_f64());
    }
    ts.sort_by(f64::total_cmp);
    us.sort_by(f64::total_cmp);
    println!("mean {:.2} ms, linear {:.2} ms", ts[25] * 1e3, us[25] * 1e3);
}
