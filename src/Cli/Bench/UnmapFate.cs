namespace Quietus.Cli.Bench;
/// <summary>What is said of the pages that a live VM loses: it decides whether their lines are cleaned.</summary>
internal static class UnmapFate
{
    /// <summary>Freed, and overwritten through the caches before anybody reads them.</summary>
    public const string Freed = "freed";
    /// <summary>Nothing: whoever has them next may read them past the caches.</summary>
    public const string Unknown = "unknown";
    public static readonly string[] All = [Freed, Unknown];
}
