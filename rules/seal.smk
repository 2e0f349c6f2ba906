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
    """Predict the chromatin profile around the TSS of one stretch of genes, and their spatial features."""
    input:
        fasta=lookup(dpath="genome/fasta", within=config),
        tss=rules.genome_genes.output.tss,
        weights=f"{RUN.chromatin}/weights.safetensors",
        spec=f"{RUN.chromatin}/model.yaml",
    output:
        profiles="<results>/seal/profiles/{part}.h5",
    log:
        "<results>/logs/seal/profile-tss/{part}.log",
    benchmark:
        "<results>/benchmarks/seal/profile-tss/{part}.tsv"
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
        chromatin=subpath(input.weights, parent=True),
        parts=len(RUN.parts("profiles")),
        settings=RUN.settings("seal.profile"),
    message:
        "Predicting the chromatin profiles around TSS, part {wildcards.part}"
    shell:
        "cisweave seal profile-tss --fasta {input.fasta:q} --tss {input.tss:q} --chromatin {params.chromatin:q}"
        " --part {wildcards.part}/{params.parts} --out {output.profiles:q} --settings {params.settings:q}"
        " --device {resources.device} --threads {threads} > {log:q} 2>&1"


rule seal_index_profiles:
    """Make one store of the parts: all TSS profiles of the genome."""
    input:
        shards=expand("<results>/seal/profiles/{part}.h5", part=RUN.parts("profiles")),
    output:
        profiles="<results>/seal/tss_profiles.json",
    log:
        "<results>/logs/seal/index-profiles/all.log",
    benchmark:
        "<results>/benchmarks/seal/index-profiles/all.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=megabytes(2000),
        runtime=minutes(60),
    params:
        version=VERSIONS["seal"],
    message:
        "Indexing the chromatin profiles around TSS"
    shell:
        "cisweave seal index-profiles {input.shards:q} --out {output.profiles:q} > {log:q} 2>&1"


rule seal_pretrain:
    """Train the expression model on the general contexts, with one combination of hyper-parameters."""
    input:
        profiles=RUN.profiles,
        expression=general_expression,
        genes=RUN.typed_genes,
        groups=RUN.groups(RUN.config.seal.general),
    output:
        weights="<results>/seal/{candidate}/weights.safetensors",
        spec="<results>/seal/{candidate}/model.yaml",
        metrics="<results>/seal/{candidate}/metrics.json",
        history="<results>/seal/{candidate}/history.csv",
        genes="<results>/seal/{candidate}/genes.tsv",
        performance="<results>/seal/{candidate}/performance.tsv",
    log:
        "<results>/logs/seal/pretrain/{candidate}.log",
    benchmark:
        "<results>/benchmarks/seal/pretrain/{candidate}.tsv"
    wildcard_constraints:
        candidate=any_of(RUN.candidates(RUN.config.seal.general)),
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
        contexts=contexts_of,
        model=subpath(output.weights, parent=True),
        genes=each("--genes", "genes"),
        groups=each("--groups", "groups"),
        settings=candidate_settings,
        training=RUN.settings("training"),
        seed=lookup(dpath="seed", within=config),
    message:
        "Pre-training the expression model on the general contexts ({wildcards.candidate})"
    shell:
        "cisweave seal pretrain --profiles {input.profiles:q} --expression {input.expression:q}"
        " --contexts {params.contexts:q} --model {params.model:q} {params.genes:q} {params.groups:q}"
        " --settings {params.settings:q} --training {params.training:q} --seed {params.seed}"
        " --device {resources.device} --threads {threads} > {log:q} 2>&1"


rule seal_finetune:
    """Fine-tune the expression model on the contexts of one set, with one combination of hyper-parameters."""
    input:
        profiles=RUN.profiles,
        expression=lookup(dpath="seal/expression/{context_set}", within=config),
        weights=f"{RUN.pretrained}/weights.safetensors",
        spec=f"{RUN.pretrained}/model.yaml",
        genes=RUN.typed_genes,
        groups=context_groups,
    output:
        weights="<results>/seal/{context_set}/{candidate}/weights.safetensors",
        spec="<results>/seal/{context_set}/{candidate}/model.yaml",
        metrics="<results>/seal/{context_set}/{candidate}/metrics.json",
        history="<results>/seal/{context_set}/{candidate}/history.csv",
        genes="<results>/seal/{context_set}/{candidate}/genes.tsv",
        performance="<results>/seal/{context_set}/{candidate}/performance.tsv",
    log:
        "<results>/logs/seal/finetune/{context_set}/{candidate}.log",
    benchmark:
        "<results>/benchmarks/seal/finetune/{context_set}/{candidate}.tsv"
    wildcard_constraints:
        candidate=any_of(RUN.finetune_candidates),
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
        genes=each("--genes", "genes"),
        groups=each("--groups", "groups"),
        settings=candidate_settings,
        training=RUN.settings("training"),
        seed=lookup(dpath="seed", within=config),
    message:
        "Fine-tuning the expression model on {wildcards.context_set} ({wildcards.candidate})"
    shell:
        "cisweave seal finetune --profiles {input.profiles:q} --expression {input.expression:q}"
        " --contexts {params.contexts:q} --pretrained {params.pretrained:q} --model {params.model:q}"
        " {params.genes:q} {params.groups:q} --settings {params.settings:q} --training {params.training:q}"
        " --seed {params.seed} --device {resources.device} --threads {threads} > {log:q} 2>&1"


rule seal_select:
    """Choose the best of several combinations of hyper-parameters by their validation genes."""
    input:
        candidates=candidate_weights,
    output:
        weights="<results>/seal/{chosen}/weights.safetensors",
        spec="<results>/seal/{chosen}/model.yaml",
        metrics="<results>/seal/{chosen}/metrics.json",
        history="<results>/seal/{chosen}/history.csv",
        genes="<results>/seal/{chosen}/genes.tsv",
        performance="<results>/seal/{chosen}/performance.tsv",
        table="<results>/seal/{chosen}/grid.tsv",
    log:
        "<results>/logs/seal/select/{chosen}.log",
    benchmark:
        "<results>/benchmarks/seal/select/{chosen}.tsv"
    wildcard_constraints:
        chosen=any_of(RUN.chosen),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=megabytes(2000),
        runtime=minutes(30),
    params:
        version=VERSIONS["seal"],
        candidates=each("--candidate", "candidates", folder=True),
        model=subpath(output.weights, parent=True),
        settings=RUN.settings("seal.grid"),
    message:
        "Choosing hyper-parameters of {wildcards.chosen}"
    shell:
        "cisweave seal select {params.candidates:q} --model {params.model:q} --out {output.table:q}"
        " --settings {params.settings:q} > {log:q} 2>&1"


rule seal_evaluate:
    """Compare predicted with measured expression, on held-out contigs above all."""
    input:
        profiles=RUN.profiles,
        expression=lookup(dpath="seal/expression/{context_set}", within=config),
        weights=expression_model("weights.safetensors"),
        spec=expression_model("model.yaml"),
        split=model_split,
        genes=RUN.typed_genes,
    output:
        evaluation="<results>/seal/{context_set}/evaluation.tsv",
        metrics="<results>/seal/{context_set}/metrics.json",
        performance="<results>/seal/{context_set}/performance.tsv",
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
        genes=each("--genes", "genes"),
        settings=RUN.settings("seal.model"),
        seed=lookup(dpath="seed", within=config),
    message:
        "Evaluating predicted expression in {wildcards.context_set}"
    shell:
        "cisweave seal evaluate --profiles {input.profiles:q} --expression {input.expression:q}"
        " --model {params.model:q} {params.genes:q} --out {output.evaluation:q} --metrics {output.metrics:q}"
        " --performance {output.performance:q} --settings {params.settings:q} --seed {params.seed} > {log:q} 2>&1"


rule seal_predict:
    """Score one part of the variants in all contexts of a set, by shifted windows on both strands."""
    input:
        variants=rules.genome_closest_tss.output.assigned,
        fasta=lookup(dpath="genome/fasta", within=config),
        profiles=RUN.profiles,
        chromatin=f"{RUN.chromatin}/weights.safetensors",
        chromatin_spec=f"{RUN.chromatin}/model.yaml",
        weights=expression_model("weights.safetensors"),
        spec=expression_model("model.yaml"),
    output:
        effects="<results>/seal/{context_set}/parts/{part}/effects.parquet",
        chromatin="<results>/seal/{context_set}/parts/{part}/chromatin_effects.parquet",
        rejects="<results>/seal/{context_set}/parts/{part}/rejects.tsv",
    log:
        "<results>/logs/seal/predict/{context_set}/{part}.log",
    benchmark:
        "<results>/benchmarks/seal/predict/{context_set}/{part}.tsv"
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
        parts=len(RUN.parts("variants")),
        settings=RUN.settings("seal.predict"),
        engine=RUN.settings("seal.engine"),
    message:
        "Scoring variants in {wildcards.context_set}, part {wildcards.part}"
    shell:
        "cisweave seal predict --variants {input.variants:q} --fasta {input.fasta:q} --profiles {input.profiles:q}"
        " --chromatin {params.chromatin:q} --model {params.model:q} --part {wildcards.part}/{params.parts}"
        " --out {output.effects:q} --chromatin-effects {output.chromatin:q} --rejects {output.rejects:q}"
        " --settings {params.settings:q} --engine {params.engine:q} --device {resources.device} --threads {threads}"
        " > {log:q} 2>&1"


rule seal_gather:
    """Bring the parts of a context set together: tables, an annotated VCF, the strongest contexts, what was rejected."""
    input:
        parts=expand(
            "<results>/seal/{context_set}/parts/{part}/effects.parquet",
            part=RUN.parts("variants"),
            allow_missing=True,
        ),
        chromatin_parts=expand(
            "<results>/seal/{context_set}/parts/{part}/{name}",
            part=RUN.parts("variants"),
            name=["chromatin_effects.parquet", "rejects.tsv"],
            allow_missing=True,
        ),
        annotation=context_annotation,
    output:
        effects="<results>/seal/{context_set}/effects.parquet",
        tsv="<results>/seal/{context_set}/effects.tsv",
        vcf="<results>/seal/{context_set}/effects.vcf.gz",
        index="<results>/seal/{context_set}/effects.vcf.gz.csi",
        best="<results>/seal/{context_set}/best.tsv",
        contexts="<results>/seal/{context_set}/contexts.tsv",
        chromatin="<results>/seal/{context_set}/chromatin_effects.parquet",
        rejects="<results>/seal/{context_set}/rejects.tsv",
    log:
        "<results>/logs/seal/gather/{context_set}.log",
    benchmark:
        "<results>/benchmarks/seal/gather/{context_set}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=megabytes(8000),
        runtime=minutes(240),
    params:
        version=VERSIONS["seal"],
        annotation=each("--context-annotation", "annotation"),
        listed_contexts=lookup(dpath="seal/listed_contexts", within=config),
    message:
        "Gathering the scores in {wildcards.context_set}"
    shell:
        "cisweave seal gather {input.parts:q} --out {output.effects:q} --tsv {output.tsv:q}"
        " --annotated-vcf {output.vcf:q} --best {output.best:q} --contexts-table {output.contexts:q}"
        " --chromatin-effects {output.chromatin:q} --rejects {output.rejects:q} {params.annotation:q}"
        " --listed-contexts {params.listed_contexts} > {log:q} 2>&1"


rule seal_interpret:
    """Attribute the scores of a context set to chromatin tracks by one method."""
    input:
        effects="<results>/seal/{context_set}/effects.parquet",
        fasta=lookup(dpath="genome/fasta", within=config),
        profiles=RUN.profiles,
        chromatin=f"{RUN.chromatin}/weights.safetensors",
        chromatin_spec=f"{RUN.chromatin}/model.yaml",
        weights=expression_model("weights.safetensors"),
        spec=expression_model("model.yaml"),
    output:
        attributions="<results>/seal/{context_set}/interpret/{method}/tracks.parquet",
        strongest="<results>/seal/{context_set}/interpret/{method}/strongest.tsv",
        rejects="<results>/seal/{context_set}/interpret/{method}/rejects.tsv",
    log:
        "<results>/logs/seal/interpret/{context_set}/{method}.log",
    benchmark:
        "<results>/benchmarks/seal/interpret/{context_set}/{method}.tsv"
    conda:
        "../envs/explain.yaml"
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
        settings=RUN.settings("seal.interpret"),
        predict=RUN.settings("seal.predict"),
        engine=RUN.settings("seal.engine"),
    message:
        "Attributing scores in {wildcards.context_set} to tracks by {wildcards.method}"
    shell:
        "cisweave seal interpret --variants {input.effects:q} --fasta {input.fasta:q} --profiles {input.profiles:q}"
        " --chromatin {params.chromatin:q} --model {params.model:q} --method {wildcards.method}"
        " --out {output.attributions:q} --strongest {output.strongest:q} --rejects {output.rejects:q}"
        " --settings {params.settings:q} --predict {params.predict:q} --engine {params.engine:q}"
        " --device {resources.device} --threads {threads} > {log:q} 2>&1"


rule seal_attribute:
    """Attribute the scores of a context set's strongest variants to single bases of both haplotypes."""
    input:
        effects="<results>/seal/{context_set}/effects.parquet",
        fasta=lookup(dpath="genome/fasta", within=config),
        profiles=RUN.profiles,
        chromatin=f"{RUN.chromatin}/weights.safetensors",
        chromatin_spec=f"{RUN.chromatin}/model.yaml",
        weights=expression_model("weights.safetensors"),
        spec=expression_model("model.yaml"),
    output:
        attributions="<results>/seal/{context_set}/attribute/attributions.h5",
        loci="<results>/seal/{context_set}/attribute/loci.tsv",
        qc="<results>/seal/{context_set}/attribute/qc.tsv",
        rejects="<results>/seal/{context_set}/attribute/rejects.tsv",
        bigwig=directory("<results>/seal/{context_set}/attribute/bigwig"),
    log:
        "<results>/logs/seal/attribute/{context_set}.log",
    benchmark:
        "<results>/benchmarks/seal/attribute/{context_set}.tsv"
    conda:
        "../envs/explain.yaml"
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
        settings=RUN.settings("seal.attribute"),
        predict=RUN.settings("seal.predict"),
    message:
        "Attributing scores in {wildcards.context_set} to bases"
    shell:
        "cisweave seal attribute --variants {input.effects:q} --fasta {input.fasta:q} --profiles {input.profiles:q}"
        " --chromatin {params.chromatin:q} --model {params.model:q} --out {output.attributions:q}"
        " --loci {output.loci:q} --qc {output.qc:q} --rejects {output.rejects:q} --bigwig-folder {output.bigwig:q}"
        " --settings {params.settings:q} --predict {params.predict:q} --device {resources.device} --threads {threads}"
        " > {log:q} 2>&1"


rule seal_saturate:
    """Score every substitution of the promoters that the configuration names, in all contexts of a set."""
    input:
        fasta=lookup(dpath="genome/fasta", within=config),
        profiles=RUN.profiles,
        chromatin=f"{RUN.chromatin}/weights.safetensors",
        chromatin_spec=f"{RUN.chromatin}/model.yaml",
        weights=expression_model("weights.safetensors"),
        spec=expression_model("model.yaml"),
    output:
        effects="<results>/seal/{context_set}/saturate/effects.parquet",
        best="<results>/seal/{context_set}/saturate/best.tsv",
        bigwig="<results>/seal/{context_set}/saturate/largest.bw",
        rejects="<results>/seal/{context_set}/saturate/rejects.tsv",
    log:
        "<results>/logs/seal/saturate/{context_set}.log",
    benchmark:
        "<results>/benchmarks/seal/saturate/{context_set}.tsv"
    conda:
        "../envs/explain.yaml"
    threads: 8
    resources:
        mem_mb=megabytes(32000),
        runtime=minutes(720),
        gpu=RUN.gpus(),
        device=RUN.config.device,
    params:
        version=VERSIONS["seal"],
        chromatin=subpath(input.chromatin, parent=True),
        model=subpath(input.weights, parent=True),
        settings=RUN.settings("seal.saturate"),
        predict=RUN.settings("seal.predict"),
        engine=RUN.settings("seal.engine"),
    message:
        "Mutating every base of promoters in {wildcards.context_set}"
    shell:
        "cisweave seal saturate --fasta {input.fasta:q} --profiles {input.profiles:q} --chromatin {params.chromatin:q}"
        " --model {params.model:q} --out {output.effects:q} --best {output.best:q} --bigwig {output.bigwig:q}"
        " --rejects {output.rejects:q} --settings {params.settings:q} --predict {params.predict:q}"
        " --engine {params.engine:q} --device {resources.device} --threads {threads} > {log:q} 2>&1"


rule seal_haplotype:
    """Score the haplotypes of phased genotypes, all their variants together, in all contexts of a set."""
    input:
        vcf=phased_genotypes,
        fasta=lookup(dpath="genome/fasta", within=config),
        profiles=RUN.profiles,
        chromatin=f"{RUN.chromatin}/weights.safetensors",
        chromatin_spec=f"{RUN.chromatin}/model.yaml",
        weights=expression_model("weights.safetensors"),
        spec=expression_model("model.yaml"),
    output:
        effects="<results>/seal/{context_set}/haplotype/effects.parquet",
        rejects="<results>/seal/{context_set}/haplotype/rejects.tsv",
    log:
        "<results>/logs/seal/haplotype/{context_set}.log",
    benchmark:
        "<results>/benchmarks/seal/haplotype/{context_set}.tsv"
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
        settings=RUN.settings("seal.haplotype"),
        engine=RUN.settings("seal.engine"),
    message:
        "Scoring haplotypes in {wildcards.context_set}"
    shell:
        "cisweave seal haplotype --vcf {input.vcf:q} --fasta {input.fasta:q} --profiles {input.profiles:q}"
        " --chromatin {params.chromatin:q} --model {params.model:q} --out {output.effects:q}"
        " --rejects {output.rejects:q} --settings {params.settings:q} --engine {params.engine:q}"
        " --device {resources.device} --threads {threads} > {log:q} 2>&1"


rule seal_figures:
    """Draw how well expression is predicted and how large effects are, and write the tables behind the figures."""
    input:
        script=f"{SCRIPTS}/seal_figures.py",
        performances=expand("<results>/seal/{context_set}/performance.tsv", context_set=RUN.evaluated_sets),
        effects=expand("<results>/seal/{context_set}/effects.parquet", context_set=RUN.scored_sets),
        models=[f"{RUN.model(name)}/history.csv" for name in RUN.learnt_sets],
    output:
        tables=expand("<results>/seal/figures/{name}.tsv", name=["distance", "contexts", "curves"]),
        performance="<results>/seal/figures/performance.tsv",
        figures=expand(
            "<results>/seal/figures/{name}.{kind}",
            name=["performance", "phases", "distance", "contexts", "curves"],
            kind=["png", "svg"],
        ),
    log:
        "<results>/logs/seal/figures/all.log",
    benchmark:
        "<results>/benchmarks/seal/figures/all.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=megabytes(4000),
        runtime=minutes(60),
    params:
        version=VERSIONS["seal"],
        performances=each("--performance", "performances"),
        effects=each("--effects", "effects"),
        models=each("--model", "models", folder=True),
        general=lookup(dpath="seal/general", within=config),
        out=subpath(output.performance, parent=True),
    message:
        "Drawing performance and effects"
    shell:
        "python {input.script:q} {params.performances:q} {params.effects:q} {params.models:q}"
        " --general {params.general:q} --out {params.out:q} > {log:q} 2>&1"


rule figures_seal:
    """All figures of the seal room."""
    input:
        rules.seal_figures.output,
    message:
        "The figures of the seal room are in place"
