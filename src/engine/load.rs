//! From the bytes of an ONNX file to a graph that runs.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use tract_onnx::Onnx;
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::*;

use super::arithmetic::Arithmetic;
use super::ports::{PortNames, known_symbols, typed_ports};
use super::weights::Weights;
use super::{Graph, GraphFile, Pool, Port, guarded, int8, load_error, qoperator, validate};
use crate::error::Result;
use crate::memory_pool::{MemoryPool, release_code};

impl Graph {
    /// Like [`Graph::load`], with the arithmetic chosen by the caller.
    pub(super) fn load_for(
        arithmetic: Arithmetic,
        path: &Path,
        onnx: GraphFile,
        pool: &Pool,
        known_shape: impl Fn(&Port) -> Option<Vec<usize>>,
    ) -> Result<Self> {
        let mut phases = Phases::start();
        let reader = reader(arithmetic);
        let file_len = onnx.len();
        let mut weights = Weights::default();
        let mut proto = guarded(|| Ok(onnx.read(&mut weights)?)).map_err(load_error(path))?;
        let graph = proto.graph.as_mut().ok_or_else(|| load_error(path)("no graph in the file".into()))?;
        let names = PortNames::of(graph, &weights);
        names.check_count(path)?;
        qoperator::spell_out(graph);
        let is_known = |operator: &str| reader.op_register.0.contains_key(operator);
        validate::check(graph, weights.names(), is_known).map_err(|problem| load_error(path)(problem.into()))?;
        phases.end("decode");
        let mut model = guarded(|| weights.put_into(reader.parse(&proto, None)?)).map_err(load_error(path))?;
        drop::<ModelProto>(proto);
        let known = known_symbols(path, &model, &names.inputs, known_shape)?;
        phases.end("parse");
        let plan = guarded(|| {
            model.set_symbols(&known)?;
            prepare(model, arithmetic, pool, &mut phases)
        });
        let plan = plan.map_err(load_error(path))?;
        let state = guarded(|| plan.spawn()).map_err(load_error(path))?;
        let inputs = guarded(|| typed_ports(&names.inputs, plan.model(), plan.model().input_outlets()?));
        let outputs = guarded(|| typed_ports(&names.outputs, plan.model(), plan.model().output_outlets()?));
        let (inputs, outputs) = (inputs.map_err(load_error(path))?, outputs.map_err(load_error(path))?);
        log::debug!("loaded {}: {}; {} bytes in use", path.display(), phases.report, MemoryPool::used());
        Ok(Self { path: path.to_path_buf(), file_len, inputs, outputs, plan, state })
    }
}

fn reader(arithmetic: Arithmetic) -> Onnx {
    // Shapes that the exporter noted beside the graph may name symbols of its own; tract infers them anew.
    let mut onnx = tract_onnx::onnx().with_ignore_value_info(true).with_ignore_output_shapes(true);
    if let Arithmetic::Int8(_) = arithmetic {
        int8::register(&mut onnx);
    }
    onnx
}

fn prepare(
    model: InferenceModel,
    arithmetic: Arithmetic,
    pool: &Pool,
    phases: &mut Phases,
) -> TractResult<Arc<TypedSimplePlan>> {
    let mut model = model.into_typed()?;
    validate::check_budget(&model)?;
    phases.end("infer");
    // The code that reads graphs need not be there while weights are packed, when memory is at its most.
    release_code();
    if let Arithmetic::Int8(set) = arithmetic {
        model = int8::compile(model, set, pool)?;
        phases.end("int8 pass");
    }
    let plan = model.into_optimized()?.into_runnable()?;
    phases.end("optimize");
    Ok(plan)
}

/// How long each part of a load took.
struct Phases {
    report: String,
    last: Instant,
}

impl Phases {
    fn start() -> Self {
        Self { report: String::new(), last: Instant::now() }
    }

    fn end(&mut self, phase: &str) {
        let now = Instant::now();
        let separator = if self.report.is_empty() { "" } else { ", " };
        self.report += &format!("{separator}{phase} {:.1?}", now - self.last);
        self.last = now;
    }
}
