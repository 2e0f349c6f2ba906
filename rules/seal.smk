# The seal room: chromatin model, TSS profiles, transfer-learned expression, variant effects.
# IN FASTA, tracks, TSS BED, expression tables, assigned variants   OUT model folders, evaluations, effects


rule seal_train_chromatin:
    """Train the chromatin model on the peaks of all tracks."""
    input:
        fasta=lookup(dpath="genome/fasta", within=config),
        tracks=lookup(dpath="seal/tracks", within=config),
        peaks=RUN.peaks,
    output:
        weights="<results>/seal/chromatin/weights.safetensors",
        spec="<results>/seal/chromatin/model.yaml",
        metrics="<results>/seal/chromatin/metrics.json",
        history="<results>/seal/chromatin/history.csv",
    log:
        "<results>/logs/seal/train-chromatin/all.log",
    benchmark:
        "<results>/benchmarks/seal/train-chromatin/all.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 8
    resources:
        mem_mb=megabytes(32000),
        runtime=minutes(1440),
        gpu=RUN.gpus(training=True),
        device=RUN.config.device,
    params:
        version=VERSIONS["seal"],
        model=subpath(output.weights, parent=True),
        settings=RUN.settings("seal.chromatin"),
        training=RUN.settings("training"),
        seed=lookup(dpath="seed", within=config),
    message:
        "Training the chromatin model"
    shell:
        "cisweave seal train-chromatin --fasta {input.fasta:q} --tracks {input.tracks:q} --model {params.model:q}"
        " --settings {params.settings:q} --training {params.training:q} --seed {params.seed}"
        " --device {resources.device} --threads {threads} > {log:q} 2>&1"


rule seal_profile_tss:
    """Predict the chromatin profile around every TSS and its spatial features."""
    input:
        fasta=lookup(dpath="genome/fasta", within=config),
        tss=rules.genome_genes.output.tss,
        weights=rules.seal_train_chromatin.output.weights,
        spec=rules.seal_train_chromatin.output.spec,
    output:
        profiles="<results>/seal/tss_profiles.h5",
    log:
        "<results>/logs/seal/profile-tss/all.log",
    benchmark:
        "<results>/benchmarks/seal/profile-tss/all.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 8
    resources:
        mem_mb=megabytes(32000),
        runtime=minutes(1440),
        gpu=RUN.gpus(),
        device=RUN.config.device,
    params:
        version=VERSIONS["seal"],
        model=subpath(input.weights, parent=True),
        settings=RUN.settings("seal.profile"),
    message:
        "Predicting the chromatin profile around every TSS"
    shell:
        "cisweave seal profile-tss --fasta {input.fasta:q} --tss {input.tss:q} --model {params.model:q}"
        " --out {output.profiles:q} --settings {params.settings:q} --device {resources.device} --threads {threads}"
        " > {log:q} 2>&1"


rule seal_pretrain:
    """Train the expression model on the general contexts."""
    input:
        profiles=rules.seal_profile_tss.output.profiles,
        expression=RUN.expression(RUN.config.seal.general),
    output:
        weights="<results>/seal/pretrained/weights.safetensors",
        spec="<results>/seal/pretrained/model.yaml",
        metrics="<results>/seal/pretrained/metrics.json",
        history="<results>/seal/pretrained/history.csv",
    log:
        "<results>/logs/seal/pretrain/all.log",
    benchmark:
        "<results>/benchmarks/seal/pretrain/all.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 2
    resources:
        mem_mb=megabytes(16000),
        runtime=minutes(240),
        gpu=RUN.gpus(training=True),
        device=RUN.config.device,
    params:
        version=VERSIONS["seal"],
        contexts=",".join(RUN.contexts[RUN.config.seal.general]),
        model=subpath(output.weights, parent=True),
        settings=RUN.settings("seal.model"),
        training=RUN.settings("training"),
        seed=lookup(dpath="seed", within=config),
    message:
        "Pre-training the expression model on the general contexts"
    shell:
        "cisweave seal pretrain --profiles {input.profiles:q} --expression {input.expression:q}"
        " --contexts {params.contexts:q} --model {params.model:q} --settings {params.settings:q}"
        " --training {params.training:q} --seed {params.seed} --device {resources.device} --threads {threads}"
        " > {log:q} 2>&1"


rule seal_finetune:
    """Fine-tune the expression model on the contexts of one set."""
    input:
        profiles=rules.seal_profile_tss.output.profiles,
        expression=lookup(dpath="seal/expression/{context_set}", within=config),
        weights=rules.seal_pretrain.output.weights,
        spec=rules.seal_pretrain.output.spec,
    output:
        weights="<results>/seal/{context_set}/model/weights.safetensors",
        spec="<results>/seal/{context_set}/model/model.yaml",
        metrics="<results>/seal/{context_set}/model/metrics.json",
        history="<results>/seal/{context_set}/model/history.csv",
    log:
        "<results>/logs/seal/finetune/{context_set}.log",
    benchmark:
        "<results>/benchmarks/seal/finetune/{context_set}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=megabytes(16000),
        runtime=minutes(240),
        gpu=RUN.gpus(training=True),
        device=RUN.config.device,
    params:
        version=VERSIONS["seal"],
        contexts=contexts_of,
        pretrained=subpath(input.weights, parent=True),
        model=subpath(output.weights, parent=True),
        settings=RUN.settings("seal.model"),
        training=RUN.settings("training"),
        seed=lookup(dpath="seed", within=config),
    message:
        "Fine-tuning the expression model on {wildcards.context_set}"
    shell:
        "cisweave seal finetune --profiles {input.profiles:q} --expression {input.expression:q}"
        " --contexts {params.contexts:q} --pretrained {params.pretrained:q} --model {params.model:q}"
        " --settings {params.settings:q} --training {params.training:q} --seed {params.seed}"
        " --device {resources.device} --threads {threads} > {log:q} 2>&1"


rule seal_evaluate:
    """Compare predicted with measured expression, on held-out contigs above all."""
    input:
        profiles=rules.seal_profile_tss.output.profiles,
        expression=lookup(dpath="seal/expression/{context_set}", within=config),
        weights=expression_model("weights.safetensors"),
        spec=expression_model("model.yaml"),
    output:
        evaluation="<results>/seal/{context_set}/evaluation.tsv",
        metrics="<results>/seal/{context_set}/metrics.json",
    log:
        "<results>/logs/seal/evaluate/{context_set}.log",
    benchmark:
        "<results>/benchmarks/seal/evaluate/{context_set}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=megabytes(16000),
        runtime=minutes(60),
    params:
        version=VERSIONS["seal"],
        model=subpath(input.weights, parent=True),
    message:
        "Evaluating predicted expression in {wildcards.context_set}"
    shell:
        "cisweave seal evaluate --profiles {input.profiles:q} --expression {input.expression:q}"
        " --model {params.model:q} --out {output.evaluation:q} --metrics {output.metrics:q} > {log:q} 2>&1"


rule seal_predict:
    """Score every variant in all contexts of a set, by nine windows on both strands."""
    input:
        variants=rules.genome_closest_tss.output.assigned,
        fasta=lookup(dpath="genome/fasta", within=config),
        profiles=rules.seal_profile_tss.output.profiles,
        chromatin=rules.seal_train_chromatin.output.weights,
        chromatin_spec=rules.seal_train_chromatin.output.spec,
        weights=rules.seal_finetune.output.weights,
        spec=rules.seal_finetune.output.spec,
    output:
        effects="<results>/seal/{context_set}/effects.parquet",
        tsv="<results>/seal/{context_set}/effects.tsv",
        chromatin="<results>/seal/{context_set}/chromatin_effects.parquet",
        rejects="<results>/seal/{context_set}/rejects.tsv",
    log:
        "<results>/logs/seal/predict/{context_set}.log",
    benchmark:
        "<results>/benchmarks/seal/predict/{context_set}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 8
    resources:
        mem_mb=megabytes(32000),
        runtime=minutes(1440),
        gpu=RUN.gpus(),
        device=RUN.config.device,
    params:
        version=VERSIONS["seal"],
        chromatin=subpath(input.chromatin, parent=True),
        model=subpath(input.weights, parent=True),
        settings=RUN.settings("seal.predict"),
        engine=RUN.settings("seal.engine"),
    message:
        "Scoring variants in {wildcards.context_set}"
    shell:
        "cisweave seal predict --variants {input.variants:q} --fasta {input.fasta:q} --profiles {input.profiles:q}"
        " --chromatin {params.chromatin:q} --model {params.model:q} --out {output.effects:q} --tsv {output.tsv:q}"
        " --chromatin-effects {output.chromatin:q} --rejects {output.rejects:q} --settings {params.settings:q}"
        " --engine {params.engine:q} --device {resources.device} --threads {threads} > {log:q} 2>&1"
