_base_ = [
    "../_base_/models/token_labeling_swinv2.py",
    "../_base_/datasets/token_labels_256px.py",
    "../_base_/schedules/token_labeling_300e.py",
    "../_base_/default_runtime_token_labeling.py",
]
