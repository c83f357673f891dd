using System.Text.RegularExpressions;
using System.Threading.Tasks;
using Microsoft.Playwright;
using Shouldly;
using Xunit;

namespace Quietus.Service.Tests;

/// <summary>The page, in a real browser, of a server with the real machine.</summary>
[Collection(RealServerTests.Name)]
public sealed partial class RealPageTests(RealServer real)
{
    [Fact]
    public async Task A_person_makes_a_Linux_VM_types_into_its_terminal_forks_resets_and_kills_it()
    {
        await using PageDriver page = await PageDriver.StartAsync($"http://{real.Server.Address}/");
        await page.OpenAsync(1200, 900, ColorScheme.Light, RealServer.Token);
        await page.Button("New VM of busybox").ClickAsync();
        await page.Said("is born");
        string vm = await BornAsync(page);
        await page.VmText("born of busybox");
        await page.Button($"Terminal {vm}").ClickAsync();
        await page.Page.GetByText("Tab and Escape go to the program").WaitForAsync();
        await page.Page.Keyboard.TypeAsync("echo a$((40+2))b; uname -m");
        await page.Page.Keyboard.PressAsync("Enter");
        await page.Page.Locator(".xterm-rows").GetByText("a42b").First.WaitForAsync();
        await page.Page.Locator(".xterm-rows").GetByText("aarch64").First.WaitForAsync();
        await page.PictureAsync("real-terminal");
        await page.Page.Keyboard.PressAsync("F6");
        await page.Page.Keyboard.PressAsync("Enter");

        // Its memory is on the map, in its own colour.
        await page.Page.GetByText(new Regex($"^{vm}: [1-9]")).WaitForAsync();
        await page.Button($"Freeze {vm}").ClickAsync();
        await page.Said($"{vm} is frozen");
        await page.Button($"Fork {vm}").ClickAsync();
        await page.Said($"is born of {vm}");
        string child = await BornAsync(page);
        await page.VmText($"born of {vm}");
        await page.PictureAsync("real-light");
        await page.Button($"Reset {child}").ClickAsync();
        await page.Said($"{child} is as at its birth");
        await page.Button($"Kill {child}").ClickAsync();
        await page.Said($"{child} is dead");
        await page.Button($"Kill {vm}").ClickAsync();
        await page.Said($"{vm} is dead");
        await page.TextOf("alive", "0");
        page.Elsewhere.ShouldBeEmpty();
        page.Errors.ShouldBeEmpty();
        await real.ShouldBeWholeAsync();
    }

    /// <summary>The VM of which the page has just said that it is born.</summary>
    private static async Task<string> BornAsync(PageDriver page) =>
        FirstVm().Match(await page.Page.Locator("#said").InnerTextAsync()).Value;

    [GeneratedRegex("^VM [0-9]+")]
    private static partial Regex FirstVm();
}
