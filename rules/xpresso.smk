# The xpresso room: promoters, half-life, factors and microRNAs to expression, one model of the zoo beside the other.
# IN expression, promoters or FASTA and GTF, tables of features   OUT data, split, model folders, comparison, effects


rule xpresso_build:
    """Bring promoters, half-life features, factors, microRNAs and expression together, one row a gene."""
    input:
        **RUN.promoter_sources,
    output:
        # Tables of factors and microRNAs stand beside these where there are some; dataset.json lists and hashes all.
        genes="<results>/xpresso/data/genes.parquet",
        promoters="<results>/xpresso/data/promoters.h5",
        whole="<results>/xpresso/data/dataset.json",
        rejects="<results>/xpresso/rejects/build.tsv",
    log:
        "<results>/logs/xpresso/build/all.log",
    benchmark:
        "<results>/benchmarks/xpresso/build/all.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=megabytes(8000),
        runtime=minutes(120),
    params:
        version=VERSIONS["xpresso"],
        sources=options_of(RUN.promoter_sources),
        out=subpath(output.whole, parent=True),
        settings=RUN.settings("xpresso.data"),
    message:
        "Building the data of promoter models"
    shell:
        "cisweave xpresso build {params.sources:q} --out {params.out:q} --rejects {output.rejects:q}"
        " --settings {params.settings:q} > {log:q} 2>&1"


rule xpresso_split:
    """Say once for all models which genes train, validate and test."""
    input:
        data=f"{RUN.promoters}/dataset.json",
        groups=RUN.config.xpresso.split.groups or [],
        table=RUN.config.xpresso.split.table or [],
    output:
        split="<results>/xpresso/split.tsv",
        rejects="<results>/xpresso/rejects/split.tsv",
    log:
        "<results>/logs/xpresso/split/all.log",
    benchmark:
        "<results>/benchmarks/xpresso/split/all.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=megabytes(4000),
        runtime=minutes(30),
    params:
        version=VERSIONS["xpresso"],
        data=subpath(input.data, parent=True),
        settings=RUN.settings("xpresso.split"),
    message:
        "Splitting genes"
    shell:
        "cisweave xpresso split --data {params.data:q} --out {output.split:q} --rejects {output.rejects:q}"
        " --settings {params.settings:q} > {log:q} 2>&1"


rule xpresso_embed:
    """Embed promoters as segments of k-mers, once for all models that read them so."""
    input:
        data=f"{RUN.promoters}/dataset.json",
        split=rules.xpresso_split.output.split,
    output:
        embedding="<results>/xpresso/embeddings/{embedding}/fold{fold}.h5",
    log:
        "<results>/logs/xpresso/embed/{embedding}/{fold}.log",
    benchmark:
        "<results>/benchmarks/xpresso/embed/{embedding}/{fold}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=megabytes(8000),
        runtime=minutes(240),
    params:
        version=VERSIONS["xpresso"],
        data=subpath(input.data, parent=True),
        settings=embedding_settings,
    message:
        "Embedding promoters ({wildcards.embedding})"
    shell:
        "cisweave xpresso embed --data {params.data:q} --split {input.split:q} --fold {wildcards.fold}"
        " --out {output.embedding:q} --settings {params.settings:q} > {log:q} 2>&1"


rule xpresso_train:
    """Train one model of the zoo on one fold with one seed; its predictions for all genes stand beside it."""
    input:
        data=f"{RUN.promoters}/dataset.json",
        split=rules.xpresso_split.output.split,
        embedding=embedding_file,
    output:
        best=multiext(
            "<results>/xpresso/models/{promoter_model}/fold{fold}/seed{seed}/best/",
            weights="weights.safetensors",
            spec="model.yaml",
        ),
        last="<results>/xpresso/models/{promoter_model}/fold{fold}/seed{seed}/last/model.yaml",
        predictions="<results>/xpresso/models/{promoter_model}/fold{fold}/seed{seed}/predictions.parquet",
        history="<results>/xpresso/models/{promoter_model}/fold{fold}/seed{seed}/history.csv",
        metrics="<results>/xpresso/models/{promoter_model}/fold{fold}/seed{seed}/metrics.json",
    log:
        "<results>/logs/xpresso/train/{promoter_model}/{fold}/{seed}.log",
    benchmark:
        "<results>/benchmarks/xpresso/train/{promoter_model}/{fold}/{seed}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 8
    resources:
        mem_mb=megabytes(16000),
        runtime=minutes(1440),
        gpu=RUN.gpus(training=True),
        device=RUN.config.device,
    params:
        version=VERSIONS["xpresso"],
        data=subpath(input.data, parent=True),
        embedding=each("--embedding", "embedding"),
        out=subpath(output.predictions, parent=True),
        settings=model_entry,
        training=RUN.settings("training"),
    message:
        "Training {wildcards.promoter_model}, fold {wildcards.fold}, seed {wildcards.seed}"
    shell:
        "cisweave xpresso train --data {params.data:q} --split {input.split:q} --fold {wildcards.fold}"
        " {params.embedding:q} --out {params.out:q} --settings {params.settings:q} --training {params.training:q}"
        " --seed {wildcards.seed} --device {resources.device} --threads {threads} > {log:q} 2>&1"


rule xpresso_baselines:
    """Fit what every model must beat: half-life features alone, k-mers, factors."""
    input:
        data=f"{RUN.promoters}/dataset.json",
        split=rules.xpresso_split.output.split,
    output:
        predictions="<results>/xpresso/baselines/fold{fold}/predictions.parquet",
        metrics="<results>/xpresso/baselines/fold{fold}/metrics.json",
    log:
        "<results>/logs/xpresso/baselines/{fold}.log",
    benchmark:
        "<results>/benchmarks/xpresso/baselines/{fold}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 2
    resources:
        mem_mb=megabytes(16000),
        runtime=minutes(120),
    params:
        version=VERSIONS["xpresso"],
        data=subpath(input.data, parent=True),
        out=subpath(output.predictions, parent=True),
        settings=RUN.settings("xpresso.baselines"),
    message:
        "Fitting baselines"
    shell:
        "cisweave xpresso baselines --data {params.data:q} --split {input.split:q} --fold {wildcards.fold}"
        " --out {params.out:q} --settings {params.settings:q} > {log:q} 2>&1"


rule xpresso_evaluate:
    """Measure one model over its seeds and folds (or all baselines), the best and the last epoch."""
    input:
        predictions=run_files("predictions.parquet"),
        metrics=run_files("metrics.json"),
        histories=histories,
    output:
        evaluation="<results>/xpresso/evaluations/{measured}/evaluation.tsv",
        predictions="<results>/xpresso/evaluations/{measured}/predictions.parquet",
        history="<results>/xpresso/evaluations/{measured}/history.tsv",
    log:
        "<results>/logs/xpresso/evaluate/{measured}.log",
    benchmark:
        "<results>/benchmarks/xpresso/evaluate/{measured}.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=megabytes(4000),
        runtime=minutes(60),
    params:
        version=VERSIONS["xpresso"],
        runs=each("--run", "predictions", folder=True),
        out=subpath(output.evaluation, parent=True),
        settings=RUN.settings("xpresso.evaluation", "published"),
    message:
        "Measuring {wildcards.measured}"
    shell:
        "cisweave xpresso evaluate {params.runs:q} --name {wildcards.measured:q} --out {params.out:q}"
        " --settings {params.settings:q} > {log:q} 2>&1"


rule xpresso_compare:
    """Put all models and baselines into one table, beside the published figures, and test their differences."""
    input:
        evaluations=evaluations,
    output:
        comparison="<results>/xpresso/comparison/comparison.tsv",
        ranking="<results>/xpresso/comparison/ranking.tsv",
        tests="<results>/xpresso/comparison/tests.tsv",
        published="<results>/xpresso/comparison/published.tsv",
    log:
        "<results>/logs/xpresso/compare/all.log",
    benchmark:
        "<results>/benchmarks/xpresso/compare/all.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=megabytes(8000),
        runtime=minutes(120),
    params:
        version=VERSIONS["xpresso"],
        evaluations=each("--evaluation", "evaluations", folder=True),
        out=subpath(output.comparison, parent=True),
        settings=RUN.settings("xpresso.evaluation"),
    message:
        "Comparing models"
    shell:
        "cisweave xpresso compare {params.evaluations:q} --out {params.out:q} --settings {params.settings:q}"
        " > {log:q} 2>&1"


rule xpresso_predict_variants:
    """Score the variants of every promoter: expression from the promoter with REF and with ALT."""
    input:
        **RUN.variant_sources,
        vcf=RUN.promoter_variants or [],
        fasta=lookup(dpath="genome/fasta", within=config),
        weights="<results>/xpresso/models/{promoter_model}/fold{fold}/seed{seed}/best/weights.safetensors",
        spec="<results>/xpresso/models/{promoter_model}/fold{fold}/seed{seed}/best/model.yaml",
    output:
        effects="<results>/xpresso/effects/{promoter_model}/fold{fold}/seed{seed}.tsv",
        rejects="<results>/xpresso/effects/{promoter_model}/fold{fold}/seed{seed}.rejects.tsv",
    log:
        "<results>/logs/xpresso/predict-variants/{promoter_model}/{fold}/{seed}.log",
    benchmark:
        "<results>/benchmarks/xpresso/predict-variants/{promoter_model}/{fold}/{seed}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 8
    resources:
        mem_mb=megabytes(16000),
        runtime=minutes(720),
        gpu=RUN.gpus(),
        device=RUN.config.device,
    params:
        version=VERSIONS["xpresso"],
        model=subpath(input.weights, parent=True),
        sources=options_of(RUN.variant_sources),
        settings=RUN.settings("xpresso.predict"),
    message:
        "Scoring variants of promoters by {wildcards.promoter_model}"
    shell:
        "cisweave xpresso predict-variants --model {params.model:q} --vcf {input.vcf:q} --fasta {input.fasta:q}"
        " {params.sources:q} --out {output.effects:q} --rejects {output.rejects:q}"
        " --settings {params.settings:q} --device {resources.device} --threads {threads} > {log:q} 2>&1"


rule xpresso_figures:
    """Draw training curves, predicted against true expression, densities, and the comparison of models."""
    input:
        script=f"{SCRIPTS}/xpresso_figures.py",
        evaluations=evaluations,
        comparison=rules.xpresso_compare.output.comparison,
        ranking=rules.xpresso_compare.output.ranking,
        tests=rules.xpresso_compare.output.tests,
        published=rules.xpresso_compare.output.published,
    output:
        comparison="<results>/xpresso/figures/comparison.tsv",
        tables=expand(
            "<results>/xpresso/figures/{name}.tsv", name=["ranking", "tests", "published", "curves", "densities"]
        ),
        figures=expand(
            "<results>/xpresso/figures/{name}.{kind}",
            name=["comparison", "differences", "curves", "scatter", "densities"],
            kind=["png", "svg"],
        ),
    log:
        "<results>/logs/xpresso/figures/all.log",
    benchmark:
        "<results>/benchmarks/xpresso/figures/all.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=megabytes(4000),
        runtime=minutes(60),
    params:
        version=VERSIONS["xpresso"],
        evaluations=each("--evaluation", "evaluations", folder=True),
        comparison=subpath(input.comparison, parent=True),
        out=subpath(output.comparison, parent=True),
    message:
        "Drawing the comparison of promoter models"
    shell:
        "python {input.script:q} {params.evaluations:q} --comparison {params.comparison:q} --out {params.out:q}"
        " > {log:q} 2>&1"


rule figures_xpresso:
    """All figures of the xpresso room."""
    input:
        rules.xpresso_figures.output,
    message:
        "The figures of the xpresso room are in place"
