using System;
using System.Diagnostics;
using System.Linq;
using System.Net.Http;
using System.Threading.Tasks;
using Deque.AxeCore.Commons;
using Deque.AxeCore.Playwright;
using Microsoft.Playwright;
using Quietus.Cli.Tests.Guests;
using Shouldly;
using Xunit;
using Command = Quietus.Cli.Tests.Cli;

namespace Quietus.Service.Tests;

/// <summary>The page, in a real browser, of a server whose machine is a stand-in.</summary>
public sealed class PageTests
{
    private const string Token = "0123456789abcdef-secret";

    [Fact]
    public async Task A_person_makes_a_VM_uses_its_terminal_and_kills_it()
    {
        await using TestServer server = await StartAsync();
        await using PageDriver page = await PageDriver.StartAsync($"http://{server.Address}/");
        await page.OpenAsync(1200, 900, ColorScheme.Light, Token);
        await page.Button("New VM of busybox").ClickAsync();
        await page.VmText("born of busybox");
        await page.TextOf("births", "1");
        await page.TextOf("alive", "1");
        await page.Page.GetByText("VM 1: 3", new() { Exact = true }).WaitForAsync();
        (await page.Page.Locator("canvas").GetAttributeAsync("aria-label"))!.ShouldContain("VM 1 3");

        await page.Button("Terminal VM 1").ClickAsync();
        await page.Page.GetByText("Tab and Escape go to the program").WaitForAsync();
        await page.Page.Keyboard.TypeAsync("echo a$((40+2))b");
        await page.Page.Keyboard.PressAsync("Enter");
        await page.Page.Locator(".xterm-rows").GetByText("a42b").First.WaitForAsync();
        await page.PictureAsync("terminal");
        await page.Page.Keyboard.PressAsync("F6");
        await page.Page.Keyboard.PressAsync("Enter");
        (await page.Focused()).ShouldBe("Terminal VM 1");

        await page.Button("Freeze VM 1").ClickAsync();
        await page.Page.Locator("#vms .state", new() { HasTextString = "frozen" }).WaitForAsync();
        await page.Button("Fork VM 1").ClickAsync();
        await page.VmText("born of VM 1");
        await page.PictureAsync("light");
        await page.Button("Reset VM 2").ClickAsync();
        await page.Said("VM 2 is as at its birth");
        await page.Button("Kill VM 2").ClickAsync();
        await page.Button("Kill VM 1").ClickAsync();
        await page.TextOf("deaths", "2");
        await page.TextOf("alive", "0");
        (await page.Page.Locator("#vms > li").CountAsync()).ShouldBe(0);
        page.Elsewhere.ShouldBeEmpty();
        page.Errors.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_template_that_was_built_is_held_and_released()
    {
        await using TestServer server = await StartAsync();
        Command.Outcome built = server.Cli.Run("template", "build", "extra");
        built.Code.ShouldBe(0, built.Errors);
        await using PageDriver page = await PageDriver.StartAsync($"http://{server.Address}/");
        await page.OpenAsync(1200, 900, ColorScheme.Light, Token);
        await page.Page.GetByLabel("Hold another").SelectOptionAsync("extra");
        await page.Button("Hold it").ClickAsync();
        await page.Said("extra is held");
        await page.Button("New VM of extra").ClickAsync();
        await page.VmText("born of extra");

        // It has a VM, and says so; then it goes, and the focus stays among the templates.
        await page.Button("Release extra").ClickAsync();
        await page.Said("That failed: 'extra' has 1 VMs");
        await page.Button("Kill VM 1").ClickAsync();
        await page.TextOf("alive", "0");
        await page.Button("Release extra").ClickAsync();
        await page.Said("extra is held no more");
        await page.Button("Release extra").WaitForAsync(new() { State = WaitForSelectorState.Detached });
        (await page.Page.EvaluateAsync<string>("document.activeElement.id")).ShouldBe("templates-title");
        page.Errors.ShouldBeEmpty();
    }

    [Theory]
    [InlineData(400, ColorScheme.Light)]
    [InlineData(400, ColorScheme.Dark)]
    [InlineData(1600, ColorScheme.Dark)]
    public async Task It_fits_and_can_be_read_by_eyes_and_by_screen_readers(int width, ColorScheme colours)
    {
        await using TestServer server = await StartAsync();
        server.Cli.Run("template", "build", "extra").Code.ShouldBe(0);
        await using PageDriver page = await PageDriver.StartAsync($"http://{server.Address}/");
        await page.OpenAsync(width, 800, colours, Token);
        using Process job = server.Cli.Start(
            "exec", "--server", server.Address.ToString(), "--token-file", server.Cli.PathOf("token"), "--", "sleep",
            "607");
        await page.VmText("a job's, born of busybox");

        // By keys alone.
        await page.Button("New VM of busybox").FocusAsync();
        await page.Page.Keyboard.PressAsync("Enter");
        await page.Button("Terminal VM 2").FocusAsync();
        await page.Page.Keyboard.PressAsync("Tab");
        (await page.Focused()).ShouldBe("Freeze VM 2");
        await page.TextOf("alive", "2");
        (await page.Width()).ShouldBeLessThanOrEqualTo(width);
        AxeResult result = await page.Page.RunAxe();
        result.Violations.Select(violation =>
            $"{violation.Id}: {string.Join(' ', violation.Nodes.Select(node => node.Html))}").ShouldBeEmpty();
        await page.PictureAsync($"{colours}-{width}");

        await page.Button("Terminal VM 2").ClickAsync();
        await page.Page.GetByText("Tab and Escape go to the program").WaitForAsync();
        (await page.Width()).ShouldBeLessThanOrEqualTo(width);
        await page.PictureAsync($"{colours}-{width}-terminal");
        job.Kill();
        page.Errors.ShouldBeEmpty();
    }

    private static async Task<TestServer> StartAsync()
    {
        Assert.SkipWhen(PageDriver.Chromium is null, "chromium is not installed: apt-get install chromium");
        Command files = FakeGuest.Install(new Command());
        string token = files.WriteFile("token", "0123456789abcdef-secret\n"u8.ToArray());
        var server = new TestServer(files, "--listen", RealServer.FreePort(), "--token-file", token);
        await server.WaitUntilReadyAsync();
        return server;
    }
}
