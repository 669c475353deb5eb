#!/usr/bin/env python3
"""Exports a model of Keras as tf2onnx does, which `Model.export` calls where the backend is TensorFlow.

    pip install tensorflow tf2onnx    (here: 2.21.0, 1.17.0)
    python by_tensorflow.py MODEL.keras MODEL.onnx
"""

import sys

import keras
import tensorflow
import tf2onnx


def main(source, target):
    model = keras.models.load_model(source)
    inputs = [tensorflow.TensorSpec([1, *model.input_shape[1:]], tensorflow.float32, name="input")]
    call = tensorflow.function(lambda image: model(image, training=False))
    tf2onnx.convert.from_function(call, inputs, opset=15, output_path=target)


if __name__ == "__main__":
    main(*sys.argv[1:])
