import numpy as np
import onnx.parser
import onnxruntime

from smart_retail.quantise.graph import keep_outputs

CAPTURED = """
<ir_version: 8, opset_import: ["" : 17]>
network (float[3] x) => (float[3] kept, float[3] left_out) {
    flag = Constant <value = bool {1}> ()
    doubled = Add (x, x)
    kept = If (flag) <
        then_branch = one () => (float[3] sum) { sum = Add (x, doubled) },
        else_branch = other () => (float[3] same) { same = Identity (x) }
    >
    head = Mul (x, doubled)
    left_out = Neg (head)
}
"""


def test_what_a_branch_takes_from_outside_stays_and_what_nobody_needs_goes():
    model = onnx.parser.parse_model(CAPTURED)
    keep_outputs(model, ["kept"])
    assert [value.name for value in model.graph.output] == ["kept"]
    assert not {"Mul", "Neg"} & {node.op_type for node in model.graph.node}
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (answer,) = session.run(None, {"x": np.array([1, 2, 3], np.float32)})
    assert answer.tolist() == [3, 6, 9]
