# The report: one self-contained page; for the built-in world the truth check.
# IN every result of the run   OUT report.html, truth.json


TRUTH_TABLES = [
    "chromatin/tracks.tsv",
    "expression/general.tsv",
    *expand("truth/{table}.tsv", table=["motifs", "instances", "expression", "effects"]),
]


if RUN.proves:

    rule report_truth:
        """Compare what was found with what the built-in world planted, on contigs never trained on."""
        input:
            manifest=RUN.world[-1],
            world=expand("{folder}/{name}", folder=RUN.world_folder, name=TRUTH_TABLES),
            peaks=RUN.peaks,
            fasta=lookup(dpath="genome/fasta", within=config),
            evaluations=expand("<results>/seal/{context_set}/evaluation.tsv", context_set=RUN.specific_sets),
            effects=expand("<results>/seal/{context_set}/effects.parquet", context_set=RUN.scored_sets),
            chromatin_effects=expand(
                "<results>/seal/{context_set}/chromatin_effects.parquet", context_set=RUN.scored_sets
            ),
            loci=rules.seqlets_select.output.loci,
            sequences=rules.genome_extract.output.sequences,
            attributions=rules.seqlets_attribute.output.attributions,
            annotated=f"<results>/seqlets/{RUN.first_database}/annotated.parquet",
            motifs=f"<results>/seqlets/{RUN.first_database}/motifs.meme",
            motif_table=f"<results>/seqlets/{RUN.first_database}/motifs.tsv",
            chromatin=f"{RUN.chromatin}/weights.safetensors",
            chromatin_spec=f"{RUN.chromatin}/model.yaml",
            pretrained=f"{RUN.pretrained}/weights.safetensors",
            pretrained_spec=f"{RUN.pretrained}/model.yaml",
            profiles=RUN.profiles,
        output:
            truth="<results>/truth.json",
        log:
            "<results>/logs/report/truth/all.log",
        benchmark:
            "<results>/benchmarks/report/truth/all.tsv"
        conda:
            "../envs/report.yaml"
        threads: 2
        resources:
            mem_mb=megabytes(8000),
            runtime=minutes(120),
        params:
            version=VERSIONS["report"],
            world=subpath(input.manifest, parent=True),
            evaluations=each("--evaluation", "evaluations"),
            effects=each("--effects", "effects"),
            chromatin_effects=each("--chromatin-effects", "chromatin_effects"),
            chromatin=subpath(input.chromatin, parent=True),
            pretrained=subpath(input.pretrained, parent=True),
            settings=RUN.settings("truth"),
            annotation=RUN.settings("seqlets.annotation"),
            seed=lookup(dpath="seed", within=config),
        message:
            "Comparing the results with the truth of the built-in world"
        shell:
            "cisweave report truth --world {params.world:q} {params.evaluations:q} {params.effects:q}"
            " {params.chromatin_effects:q} --loci {input.loci:q} --sequences {input.sequences:q}"
            " --attributions {input.attributions:q} --annotated {input.annotated:q} --motifs {input.motifs:q}"
            " --motif-table {input.motif_table:q} --chromatin {params.chromatin:q} --pretrained {params.pretrained:q}"
            " --profiles {input.profiles:q} --fasta {input.fasta:q} --out {output.truth:q}"
            " --settings {params.settings:q} --annotation {params.annotation:q} --seed {params.seed} --device cpu"
            " --threads {threads} --no-stop > {log:q} 2>&1"

    rule report_check:
        """Fail if the truth check did not pass; the page and truth.json are there either way."""
        input:
            truth=rules.report_truth.output.truth,
            report="<results>/report.html",
        output:
            passed="<results>/passed.json",
        log:
            "<results>/logs/report/check/all.log",
        benchmark:
            "<results>/benchmarks/report/check/all.tsv"
        conda:
            "../envs/report.yaml"
        threads: 1
        resources:
            mem_mb=megabytes(1000),
            runtime=minutes(10),
        params:
            version=VERSIONS["report"],
        message:
            "Checking floors and probes of the truth check"
        shell:
            "cisweave report check --truth {input.truth:q} --out {output.passed:q} > {log:q} 2>&1"


rule report_html:
    """Bring the results together on one page that opens without a network."""
    input:
        chromatin=f"{RUN.chromatin}/history.csv" if RUN.runs("seal") else [],
        chromatin_metrics=f"{RUN.chromatin}/metrics.json" if RUN.runs("seal") else [],
        pretrained=f"{RUN.pretrained}/history.csv" if RUN.runs("seal") and RUN.pretrained else [],
        models=[f"{RUN.model(name)}/history.csv" for name in RUN.specific_sets],
        evaluations=expand("<results>/seal/{context_set}/evaluation.tsv", context_set=RUN.evaluated_sets),
        effects=expand("<results>/seal/{context_set}/effects.parquet", context_set=RUN.scored_sets),
        ledgers=expand("<results>/genome/{context_set}/ledger.json", context_set=RUN.scored_sets),
        genome=rules.genome_figures.output.summary if RUN.scored_sets else [],
        genome_files=rules.genome_figures.output if RUN.scored_sets else [],
        seal=rules.seal_figures.output.performance if RUN.runs("seal") else [],
        seal_files=rules.seal_figures.output if RUN.runs("seal") else [],
        xpresso=rules.xpresso_figures.output.comparison if RUN.runs("xpresso") else [],
        xpresso_files=rules.xpresso_figures.output if RUN.runs("xpresso") else [],
        qc=rules.seqlets_attribute.output.qc if RUN.runs("seqlets") else [],
        annotated=expand("<results>/seqlets/{database}/annotated.parquet", database=RUN.databases),
        motif_effects=expand("<results>/seqlets/{database}/motif_effects.tsv", database=RUN.databases),
        logos=expand("<results>/seqlets/{database}/logos.json", database=RUN.databases),
        drawings=expand("<results>/seqlets/{database}/logos", database=RUN.databases),
        truth="<results>/truth.json" if RUN.proves else [],
    output:
        report="<results>/report.html",
    log:
        "<results>/logs/report/html/all.log",
    benchmark:
        "<results>/benchmarks/report/html/all.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=megabytes(4000),
        runtime=minutes(60),
    params:
        version=VERSIONS["report"],
        run=lookup(dpath="run", within=config),
        config=RUN.text,
        chromatin=each("--chromatin", "chromatin", folder=True),
        pretrained=each("--pretrained", "pretrained", folder=True),
        models=each("--model", "models", folder=True),
        evaluations=each("--evaluation", "evaluations"),
        effects=each("--effects", "effects"),
        ledgers=each("--ledger", "ledgers"),
        genome=each("--genome-figures", "genome", folder=True),
        seal=each("--seal-figures", "seal", folder=True),
        xpresso=each("--xpresso-figures", "xpresso", folder=True),
        qc=each("--qc", "qc"),
        annotated=each("--annotated", "annotated"),
        motif_effects=each("--motif-effects", "motif_effects"),
        logos=each("--logos", "logos"),
        truth=each("--truth", "truth"),
    message:
        "Writing the report"
    shell:
        "cisweave report html --out {output.report:q} --run {params.run:q} --config {params.config:q}"
        " {params.chromatin:q} {params.pretrained:q} {params.models:q}"
        " {params.evaluations:q} {params.effects:q} {params.ledgers:q} {params.genome:q} {params.seal:q}"
        " {params.xpresso:q} {params.qc:q}"
        " {params.annotated:q} {params.motif_effects:q} {params.logos:q} {params.truth:q} > {log:q} 2>&1"
