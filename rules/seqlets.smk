# The seqlets room: attribution, seqlets, motif annotation, the motif each variant breaks or makes.
# IN effects, model folder, sequences, motif databases   OUT seqlet tables, motif effects, logos


rule seqlets_select:
    """Choose the loci to attribute: the strongest variants and the most active promoters."""
    input:
        effects=expand("<results>/seal/{context_set}/effects.parquet", context_set=RUN.scored_sets),
        chromatin_effects=expand("<results>/seal/{context_set}/chromatin_effects.parquet", context_set=RUN.scored_sets),
        profiles=RUN.profiles,
        weights=f"{RUN.chromatin}/weights.safetensors",
        spec=f"{RUN.chromatin}/model.yaml",
    output:
        loci="<results>/seqlets/loci.tsv",
    log:
        "<results>/logs/seqlets/select/all.log",
    benchmark:
        "<results>/benchmarks/seqlets/select/all.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=megabytes(8000),
        runtime=minutes(60),
    params:
        version=VERSIONS["seqlets"],
        effects=each("--effects", "effects"),
        chromatin_effects=each("--chromatin-effects", "chromatin_effects"),
        model=subpath(input.weights, parent=True),
        settings=RUN.settings("seqlets.loci"),
    message:
        "Choosing the loci to attribute"
    shell:
        "cisweave seqlets select {params.effects:q} {params.chromatin_effects:q} --profiles {input.profiles:q}"
        " --model {params.model:q} --out {output.loci:q} --settings {params.settings:q} > {log:q} 2>&1"


rule seqlets_attribute:
    """Attribute the predicted chromatin of every locus to its bases by DeepLIFT/SHAP."""
    input:
        loci=rules.seqlets_select.output.loci,
        sequences=rules.genome_extract.output.sequences,
        weights=f"{RUN.chromatin}/weights.safetensors",
        spec=f"{RUN.chromatin}/model.yaml",
    output:
        attributions="<results>/seqlets/attributions.h5",
        qc="<results>/seqlets/qc.tsv",
    log:
        "<results>/logs/seqlets/attribute/all.log",
    benchmark:
        "<results>/benchmarks/seqlets/attribute/all.tsv"
    conda:
        "../envs/seqlets.yaml"
    threads: 8
    resources:
        mem_mb=megabytes(32000),
        runtime=minutes(720),
        gpu=RUN.gpus(),
        device=RUN.config.device,
    params:
        version=VERSIONS["seqlets"],
        model=subpath(input.weights, parent=True),
        settings=RUN.settings("seqlets.attribution"),
        seed=lookup(dpath="seed", within=config),
    message:
        "Attributing predictions to bases"
    shell:
        "cisweave seqlets attribute --loci {input.loci:q} --sequences {input.sequences:q} --model {params.model:q}"
        " --out {output.attributions:q} --qc {output.qc:q} --settings {params.settings:q} --seed {params.seed}"
        " --device {resources.device} --threads {threads} > {log:q} 2>&1"


rule seqlets_call:
    """Call seqlets: short spans whose attribution stands out."""
    input:
        attributions=rules.seqlets_attribute.output.attributions,
        loci=rules.seqlets_select.output.loci,
    output:
        seqlets="<results>/seqlets/seqlets.tsv",
    log:
        "<results>/logs/seqlets/call/all.log",
    benchmark:
        "<results>/benchmarks/seqlets/call/all.tsv"
    conda:
        "../envs/seqlets.yaml"
    threads: 1
    resources:
        mem_mb=megabytes(8000),
        runtime=minutes(120),
    params:
        version=VERSIONS["seqlets"],
        settings=RUN.settings("seqlets.calling"),
    message:
        "Calling seqlets"
    shell:
        "cisweave seqlets call --attributions {input.attributions:q} --loci {input.loci:q} --out {output.seqlets:q}"
        " --settings {params.settings:q} > {log:q} 2>&1"


rule seqlets_prepare_motifs:
    """Bring a motif database into one form, from JASPAR's bundled release or a MEME file."""
    input:
        motifs=motif_file,
    output:
        motifs="<results>/seqlets/{database}/motifs.meme",
        table="<results>/seqlets/{database}/motifs.tsv",
    log:
        "<results>/logs/seqlets/prepare-motifs/{database}.log",
    benchmark:
        "<results>/benchmarks/seqlets/prepare-motifs/{database}.tsv"
    conda:
        "../envs/seqlets.yaml"
    threads: 1
    resources:
        mem_mb=megabytes(4000),
        runtime=minutes(60),
    params:
        version=VERSIONS["seqlets"],
        entry=database_entry,
    message:
        "Preparing the motifs of {wildcards.database}"
    shell:
        "cisweave seqlets prepare-motifs --database {wildcards.database:q} --entry {params.entry:q}"
        " --out {output.motifs:q} --table {output.table:q} > {log:q} 2>&1"


rule seqlets_annotate:
    """Name every seqlet by its best Tomtom match in a motif database."""
    input:
        seqlets=rules.seqlets_call.output.seqlets,
        sequences=rules.genome_extract.output.sequences,
        motifs=rules.seqlets_prepare_motifs.output.motifs,
        table=rules.seqlets_prepare_motifs.output.table,
    output:
        annotated="<results>/seqlets/{database}/annotated.parquet",
        tsv="<results>/seqlets/{database}/annotated.tsv",
    log:
        "<results>/logs/seqlets/annotate/{database}.log",
    benchmark:
        "<results>/benchmarks/seqlets/annotate/{database}.tsv"
    conda:
        "../envs/seqlets.yaml"
    threads: 2
    resources:
        mem_mb=megabytes(8000),
        runtime=minutes(240),
    params:
        version=VERSIONS["seqlets"],
        settings=RUN.settings("seqlets.annotation"),
    message:
        "Naming seqlets by the motifs of {wildcards.database}"
    shell:
        "cisweave seqlets annotate --seqlets {input.seqlets:q} --sequences {input.sequences:q} --motifs {input.motifs:q}"
        " --table {input.table:q} --out {output.annotated:q} --tsv {output.tsv:q} --settings {params.settings:q}"
        " --threads {threads} > {log:q} 2>&1"


rule seqlets_motif_effects:
    """Find the motif that each of the strongest variants breaks or makes."""
    input:
        annotated=rules.seqlets_annotate.output.annotated,
        loci=rules.seqlets_select.output.loci,
        effects=expand("<results>/seal/{context_set}/effects.parquet", context_set=RUN.scored_sets),
    output:
        motif_effects="<results>/seqlets/{database}/motif_effects.tsv",
    log:
        "<results>/logs/seqlets/motif-effects/{database}.log",
    benchmark:
        "<results>/benchmarks/seqlets/motif-effects/{database}.tsv"
    conda:
        "../envs/seqlets.yaml"
    threads: 1
    resources:
        mem_mb=megabytes(4000),
        runtime=minutes(60),
    params:
        version=VERSIONS["seqlets"],
        effects=each("--effects", "effects"),
    message:
        "Finding the motifs that variants break or make in {wildcards.database}"
    shell:
        "cisweave seqlets motif-effects --annotated {input.annotated:q} --loci {input.loci:q} {params.effects:q}"
        " --out {output.motif_effects:q} > {log:q} 2>&1"


rule seqlets_logos:
    """Draw reference over alternative attribution at the loci whose motif changes most."""
    input:
        script=f"{SCRIPTS}/seqlets_logos.py",
        attributions=rules.seqlets_attribute.output.attributions,
        annotated=rules.seqlets_annotate.output.annotated,
        loci=rules.seqlets_select.output.loci,
        motif_effects=rules.seqlets_motif_effects.output.motif_effects,
    output:
        folder=directory("<results>/seqlets/{database}/logos"),
        index="<results>/seqlets/{database}/logos.json",
    log:
        "<results>/logs/seqlets/logos/{database}.log",
    benchmark:
        "<results>/benchmarks/seqlets/logos/{database}.tsv"
    conda:
        "../envs/seqlets.yaml"
    threads: 1
    resources:
        mem_mb=megabytes(4000),
        runtime=minutes(60),
    params:
        version=VERSIONS["seqlets"],
    message:
        "Drawing logos of {wildcards.database}"
    shell:
        "python {input.script:q} --attributions {input.attributions:q} --annotated {input.annotated:q}"
        " --loci {input.loci:q} --motif-effects {input.motif_effects:q} --out {output.folder:q}"
        " --index {output.index:q} > {log:q} 2>&1"


rule figures_seqlets:
    """All figures of the seqlets room."""
    input:
        expand("<results>/seqlets/{database}/logos.json", database=RUN.databases),
        expand("<results>/seqlets/{database}/logos", database=RUN.databases),
    message:
        "The figures of the seqlets room are in place"
