"""Networks of other libraries, with random weights and 19 classes."""

# KerasHub's SegFormer uses the square root of the number of tokens as height and width.
SQUARE = (1, 512, 512, 3)


def _keras_hub_deeplab():
    import keras_hub

    image_encoder = keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 128, 256, 512],
        stackwise_num_blocks=[2, 2, 2, 2],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="basic_block",
        image_shape=(None, None, 3),
    )
    backbone = keras_hub.models.DeepLabV3Backbone(
        image_encoder=image_encoder,
        low_level_feature_key="P2",
        spatial_pyramid_pooling_key="P4",
        dilation_rates=[6, 12, 18],
        upsampling_size=4,
    )
    return keras_hub.models.DeepLabV3ImageSegmenter(backbone, num_classes=19)


def _keras_hub_segformer():
    import keras_hub

    image_encoder = keras_hub.models.MiTBackbone(
        layerwise_depths=[2, 2, 2, 2],
        num_layers=4,
        layerwise_num_heads=[1, 2, 5, 8],
        layerwise_sr_ratios=[8, 4, 2, 1],
        max_drop_path_rate=0.1,
        layerwise_patch_sizes=[7, 3, 3, 3],
        layerwise_strides=[4, 2, 2, 2],
        image_shape=SQUARE[1:],
        hidden_dims=[32, 64, 160, 256],
    )
    backbone = keras_hub.models.SegFormerBackbone(
        image_encoder=image_encoder, projection_filters=256
    )
    return keras_hub.models.SegFormerImageSegmenter(backbone, num_classes=19)


def _transformers_segformer():
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    # The defaults build B0. Its logits have a quarter of the image's size.
    return SegformerForSemanticSegmentation(SegformerConfig(num_labels=19)).eval()


SQUARE_PEER = "KerasHub SegFormer-B0"
KERAS_PEERS = {
    "KerasHub DeepLabV3+ ResNet-18": _keras_hub_deeplab,
    SQUARE_PEER: _keras_hub_segformer,
}
TORCH_PEERS = {"transformers SegFormer-B0": _transformers_segformer}
