//! From the bytes of an ONNX file to a graph that runs.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use prost::Message;
use tract_onnx::Onnx;
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::*;

use super::arithmetic::Arithmetic;
use super::ports::{PortNames, known_symbols, typed_ports};
use super::{Graph, Pool, Port, guarded, int8, load_error, qoperator, validate};
use crate::error::Result;

impl Graph {
    /// Like [`Graph::load`], with the arithmetic chosen by the caller.
    pub(super) fn load_for(
        arithmetic: Arithmetic,
        path: &Path,
        onnx: &[u8],
        pool: &Pool,
        known_shape: impl Fn(&Port) -> Option<Vec<usize>>,
    ) -> Result<Self> {
        let mut phases = Phases::start();
        let reader = reader(arithmetic);
        // Straight from the slice: tract's own reader would copy the file first.
        let mut proto = guarded(|| Ok(ModelProto::decode(onnx)?)).map_err(load_error(path))?;
        let graph = proto.graph.as_mut().ok_or_else(|| load_error(path)("no graph in the file".into()))?;
        let names = PortNames::of(graph);
        names.check_count(path)?;
        validate::check(graph).map_err(|problem| load_error(path)(problem.into()))?;
        qoperator::spell_out(graph);
        phases.end("decode");
        let mut model = guarded(|| reader.model_for_proto_model(&proto)).map_err(load_error(path))?;
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
        log::debug!("loaded {}: {}", path.display(), phases.report);
        Ok(Self { path: path.to_path_buf(), file_len: onnx.len(), inputs, outputs, plan, state })
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
    phases.end("infer");
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
