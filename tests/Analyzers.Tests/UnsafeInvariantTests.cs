using System.Threading.Tasks;
using Shouldly;
using Xunit;

namespace Quietus.Analyzers.Tests;

/// <summary>QT0003: unsafe code with and without the sentence that makes it right.</summary>
public class UnsafeInvariantTests
{
    [Theory]
    [InlineData("class C { void F() { unsafe { } } }", 1)]
    [InlineData("class C { unsafe void F() { } }", 1)]
    [InlineData("unsafe class C { void F() { } }", 1)]
    [InlineData("class C { unsafe int* F; }", 1)]
    [InlineData("class C { unsafe void F() { } unsafe void G() { } }", 2)]
    [InlineData("class C { /* reads a byte */ unsafe void F() { } }", 1)]
    [InlineData("class C { void F() { string s = \"Invariant: no\"; unsafe { } } }", 1)]
    [InlineData("class C { void F() {\n// Invariant: p is mapped.\nunsafe { } } }", 0)]
    [InlineData("class C { void F() { unsafe {\n// Invariant: p is mapped.\n} } }", 0)]
    [InlineData("class C {\n/// <summary>Reads. Invariant: p is mapped.</summary>\nunsafe void F() { } }", 0)]
    [InlineData("/* Invariant of every access: p is mapped. */ unsafe class C { void F() { } }", 0)]
    [InlineData("using unsafe P = int*; class C;", 0)]
    [InlineData("class C { void F() { } }", 0)]
    public async Task Unsafe_code_without_a_stated_invariant_is_an_error(string source, int errors) =>
        (await Analysis.Of<UnsafeInvariantAnalyzer>(source)).Length.ShouldBe(errors);
}
