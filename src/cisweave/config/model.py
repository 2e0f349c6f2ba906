"""The whole configuration file as one model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from cisweave.config.promoters import (
    PromoterBaselineSettings,
    PromoterDataSettings,
    PromoterEvaluationSettings,
    PromoterPredictSettings,
    PromoterSplitSettings,
    Seed,
)
from cisweave.config.sections import (
    AnnotationSettings,
    AttributionSettings,
    BaseAttributionSettings,
    CallingSettings,
    ChromatinSettings,
    ClosestSettings,
    EngineSettings,
    ExplainSettings,
    ExpressionSettings,
    ExtractSettings,
    FetchSettings,
    GeneSettings,
    GridSettings,
    HaplotypeSettings,
    ImportedModels,
    InterpretSettings,
    LiftoverSettings,
    LociSettings,
    PredictSettings,
    ProfileSettings,
    SaturateSettings,
    Section,
    ShardSettings,
    SimulateSettings,
    TrainingSettings,
    TruthSettings,
    VariantSettings,
)
from cisweave.core.devices import DeviceName

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Room = Literal["seal", "xpresso", "seqlets"]


class GenomeConfig(Section):
    """The genome everything is modelled on, and the variants."""

    fasta: Path = Field(Path("resources/hg19.fa"), description="FASTA of the modelled assembly (plain or bgzip).")
    gtf: Path | None = Field(None, description="Gene annotation of the modelled assembly (GTF, plain or gzip).")
    tss: Path = Field(
        Path("resources/geneanno.pc.sorted.bed"),
        description="Genes of the modelled assembly: TSS BED (contig, TSS - 1, TSS, strand, gene id), BED6, GTF, GFF3 "
        "or ExPecto's CSV.",
    )
    pairs: Path | None = Field(
        None, description="Gene-variant pairs (TSV) for closest.mode pairs; null: genes are found by distance."
    )
    vcf: Path | None = Field(None, description="Variants to score; null leaves prediction out.")
    vcf_fasta: Path | None = Field(None, description="FASTA of the VCF's assembly; null means it is genome.fasta.")
    chain: Path | None = Field(None, description="UCSC chain from the VCF's assembly to the modelled one; null: none.")
    variants: VariantSettings = Field(default_factory=VariantSettings, description="Reading variants.")
    liftover: LiftoverSettings = Field(default_factory=LiftoverSettings, description="Moving variants.")
    genes: GeneSettings = Field(default_factory=GeneSettings, description="Which genes count.")
    closest: ClosestSettings = Field(default_factory=ClosestSettings, description="The closest TSS.")
    extract: ExtractSettings = Field(default_factory=ExtractSettings, description="Cutting sequences.")
    fetch: FetchSettings = Field(default_factory=FetchSettings, description="Downloading public files.")


class SealConfig(Section):
    """Chromatin, spatial features and expression."""

    tracks: Path = Field(Path("config/tracks.tsv"), description="Chromatin tracks: columns track, peaks (BED file).")
    contexts: Path | None = Field(
        Path("config/contexts.tsv"),
        description="Contexts to learn: columns set, context; null: imported models.",
    )
    general: Name = Field("general", description="The context set that pre-trains.")
    expression: dict[Name, Path] = Field(
        default_factory=lambda: {"general": Path("resources/expression_general.tsv")},
        description="Expression table per context set: column gene_id, then linear-scale values per context.",
    )
    imported: ImportedModels = Field(default_factory=ImportedModels, description="Ready-made models and stores.")
    groups: dict[Name, Path] = Field(
        default_factory=dict,
        description="Groups of contexts per set (TSV: name, 1-based numbers of contexts), for the weights of genes.",
    )
    annotation: dict[Name, Path] = Field(
        default_factory=dict, description="Names and stages of contexts per set (TSV, or Seal's workbook)."
    )
    shards: ShardSettings = Field(default_factory=ShardSettings, description="Jobs that large steps are cut into.")
    chromatin: ChromatinSettings = Field(default_factory=ChromatinSettings, description="The chromatin model.")
    profile: ProfileSettings = Field(default_factory=ProfileSettings, description="Profiles around each TSS.")
    model: ExpressionSettings = Field(default_factory=ExpressionSettings, description="The expression model.")
    grid: GridSettings = Field(default_factory=GridSettings, description="Hyper-parameters of the model to try.")
    engine: EngineSettings = Field(default_factory=EngineSettings, description="How windows are computed.")
    predict: PredictSettings = Field(default_factory=PredictSettings, description="Variant effects.")
    phased: Path | None = Field(
        None, description="Phased genotypes (VCF on the modelled assembly): whole haplotypes are scored; null: none."
    )
    haplotype: HaplotypeSettings = Field(default_factory=HaplotypeSettings, description="Whole haplotypes.")
    listed_contexts: int = Field(
        5, ge=1, description="Contexts of the strongest effects that the annotated VCF lists per gene."
    )
    saturate: SaturateSettings = Field(
        default_factory=SaturateSettings, description="Saturation mutagenesis of promoters, where genes are named."
    )
    explain: ExplainSettings = Field(default_factory=ExplainSettings, description="What a run explains.")
    interpret: InterpretSettings = Field(
        default_factory=InterpretSettings, description="Attribution of scores to chromatin tracks."
    )
    attribute: BaseAttributionSettings = Field(
        default_factory=BaseAttributionSettings, description="Attribution of scores to bases."
    )


class XpressoConfig(Section):
    """Promoters and the features of genes to expression: the zoo of models."""

    models: Path = Field(
        Path("config/models.yaml"), description="Models to train, one entry each (YAML: name, then its type)."
    )
    seeds: Annotated[list[Seed], Field(min_length=1)] = Field([1], description="Every model is trained once with each.")
    dataset: Path | None = Field(None, description="Folder of ready-made data; null: they are built.")
    expression: Path = Field(
        Path("resources/57epigenomes.RPKM.pc.gz"), description="Expression table: gene_id, then values."
    )
    promoters: Path | None = Field(
        None, description="FASTA of promoters, 5' to 3', named by gene; null: cut from genome.fasta."
    )
    windows: Path | None = Field(
        None, description="BED6 of promoters on genome.fasta, named by gene; null: around the TSS of genome.gtf."
    )
    cage: Path | None = Field(None, description="CAGE peaks (BED, p1@gene) that place the TSS; null: by transcript.")
    halflife: Path | None = Field(
        None, description="Table of half-life features; null: computed from genome.gtf, unless promoters are a FASTA."
    )
    tf: Path | None = Field(None, description="Factors per gene: TSV or Parquet, Harmonizome's file, or the workbook.")
    mirna: Path | None = Field(None, description="microRNAs per gene: TSV, CSV, Parquet, or TargetScan's counts.")
    symbols: Path | None = Field(None, description="TSV gene_id, symbol, where tables name genes by symbol.")
    data: PromoterDataSettings = Field(default_factory=PromoterDataSettings, description="Making the data.")
    split: PromoterSplitSettings = Field(default_factory=PromoterSplitSettings, description="One split for all models.")
    baselines: PromoterBaselineSettings = Field(
        default_factory=PromoterBaselineSettings, description="Linear models beside those of the table."
    )
    evaluation: PromoterEvaluationSettings = Field(
        default_factory=PromoterEvaluationSettings, description="Measuring models and baselines."
    )
    predict: PromoterPredictSettings = Field(default_factory=PromoterPredictSettings, description="Predicting.")
    predicted: list[Name] = Field(
        default_factory=list, description="Models whose promoters' variants (genome.vcf) are scored, with each seed."
    )

    @model_validator(mode="after")
    def check_sources(self) -> XpressoConfig:
        """Promoters come from one place."""
        given = [key for key in ("dataset", "promoters", "windows") if getattr(self, key) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} cannot go together; promoters come from one place")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("seeds must differ")
        return self


class SeqletsConfig(Section):
    """Attribution, seqlets and motifs."""

    databases: Path = Field(Path("config/motifs.yaml"), description="Motif databases, one entry each.")
    loci: LociSettings = Field(default_factory=LociSettings, description="Which loci are attributed.")
    attribution: AttributionSettings = Field(default_factory=AttributionSettings, description="DeepLIFT/SHAP.")
    calling: CallingSettings = Field(default_factory=CallingSettings, description="Calling seqlets.")
    annotation: AnnotationSettings = Field(default_factory=AnnotationSettings, description="Naming seqlets.")


class Config(Section):
    """Everything a run can be told."""

    run: Name = Field("run", description="Name of the run; its output stands in results/<run>/.")
    rooms: Annotated[list[Room], Field(min_length=1)] = Field(
        ["seal", "seqlets"], description="What is run; keys of other rooms do not count. seqlets needs seal."
    )
    seed: int = Field(1, ge=0, lt=2**31, description="Seed of training, attribution and the truth check's probes.")
    device: DeviceName = Field("auto", description="auto, cpu or cuda; cuda where there is none is an error.")
    simulate: SimulateSettings = Field(default_factory=SimulateSettings, description="The built-in world.")
    genome: GenomeConfig = Field(default_factory=GenomeConfig, description="Genome, annotation and variants.")
    training: TrainingSettings = Field(default_factory=TrainingSettings, description="What all training runs share.")
    seal: SealConfig = Field(default_factory=SealConfig, description="The seal room.")
    xpresso: XpressoConfig = Field(default_factory=XpressoConfig, description="The xpresso room.")
    seqlets: SeqletsConfig = Field(default_factory=SeqletsConfig, description="The seqlets room.")
    truth: TruthSettings = Field(default_factory=TruthSettings, description="The truth check of the built-in world.")

    @model_validator(mode="after")
    def check_rooms(self) -> Config:
        """The seqlets room explains what the seal room trained."""
        if "seqlets" in self.rooms and "seal" not in self.rooms:
            raise ValueError("rooms: seqlets needs seal, whose models and variants it explains; write both")
        if len(set(self.rooms)) != len(self.rooms):
            raise ValueError("rooms: a room stands twice; write each once")
        return self
