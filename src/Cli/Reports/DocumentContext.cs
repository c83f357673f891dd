using System.Text.Json.Serialization;
using Quietus.Cli.Bench;
using Quietus.Cli.Births;
using Quietus.Cli.Check;
using Quietus.Cli.Churn;
using Quietus.Cli.Compare;
using Quietus.Cli.Doctor;
using Quietus.Cli.Exec;
using Quietus.Cli.Many;
using Quietus.Cli.Replay;
using Quietus.Cli.Sim;
using Quietus.Cli.Templates;

namespace Quietus.Cli.Reports;

/// <summary>The code that writes the documents, generated from their records.</summary>
[JsonSourceGenerationOptions(
    GenerationMode = JsonSourceGenerationMode.Serialization,
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(ArchitectureDocument))]
[JsonSerializable(typeof(BenchDocument))]
[JsonSerializable(typeof(BirthsDocument))]
[JsonSerializable(typeof(CheckDocument))]
[JsonSerializable(typeof(ChurnDocument))]
[JsonSerializable(typeof(CompareDocument))]
[JsonSerializable(typeof(DoctorDocument))]
[JsonSerializable(typeof(ExecDocument))]
[JsonSerializable(typeof(ExhaustiveDocument))]
[JsonSerializable(typeof(HooksDocument))]
[JsonSerializable(typeof(LitmusDocument))]
[JsonSerializable(typeof(ManyDocument))]
[JsonSerializable(typeof(ReplayDocument))]
[JsonSerializable(typeof(ReplaySetDocument))]
[JsonSerializable(typeof(SimulatedBirthsDocument))]
[JsonSerializable(typeof(SimulationDocument))]
[JsonSerializable(typeof(TemplatesDocument))]
internal sealed partial class DocumentContext : JsonSerializerContext;
