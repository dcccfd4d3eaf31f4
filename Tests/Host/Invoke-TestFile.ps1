<#
.SYNOPSIS
Runs Pester test files: with Pester where it is installed, and with the stand-in beside this script where it is not.

.DESCRIPTION
Shows each test with its outcome. Exits with 0 if all passed or were skipped, with 1 if any failed.

.PARAMETER Path
The test files.

.PARAMETER Discover
Lists the tests and runs none.

.PARAMETER ResultPath
A file to write the results to: a line of JSON for each test, with File, Line, Name, Outcome, Milliseconds and Message.

.PARAMETER Tag
Runs only tests that have one of these tags, on them or on a block around them.

.PARAMETER ExcludeTag
Leaves out tests that have one of these tags.

.PARAMETER StandIn
Takes the stand-in even where Pester is installed: for the tests of the stand-in itself.

.EXAMPLE
./Tests/Host/Invoke-TestFile.ps1 ./Tests/StandIn.Tests.ps1
#>
[CmdletBinding()]
param(
    [Parameter(Mandatory, Position = 0, ValueFromRemainingArguments)] [string[]] $Path,
    [switch] $Discover,
    [string] $ResultPath,
    [string[]] $Tag,
    [string[]] $ExcludeTag,
    [switch] $StandIn
)

$ErrorActionPreference = 'Continue'
$private:settings = @{
    Tag = $Tag; ExcludeTag = $ExcludeTag; Discover = [bool]$Discover
    Files = @(foreach ($private:file in $Path) { $PSCmdlet.GetUnresolvedProviderPathFromPSPath($file) })
    ResultPath = if ($ResultPath) { $PSCmdlet.GetUnresolvedProviderPathFromPSPath($ResultPath) }
}

# The tests run in scopes below this one, where a parameter cannot be hidden; so it is at least empty.
$Path = $ResultPath = $Tag = $ExcludeTag = $null
$Discover = $false

$private:pester = @(if (-not $StandIn) { Get-Module -ListAvailable -Name Pester | Where-Object Version -GE '5.0' })
$private:newScope = { & $args[0] }
$private:results = @(
    if ($pester.Count -gt 0) {
        # Pester is this machine's own: the newest version that it lists.
        Import-Module -Name Pester -MinimumVersion 5.0
        $private:configuration = New-PesterConfiguration
        $configuration.Run.Path = $settings.Files
        $configuration.Run.PassThru = $true
        $configuration.Run.SkipRun = $settings.Discover
        $configuration.Output.Verbosity = 'Detailed'
        if ($settings.Tag) { $configuration.Filter.Tag = $settings.Tag }
        if ($settings.ExcludeTag) { $configuration.Filter.ExcludeTag = $settings.ExcludeTag }
        $private:run = Invoke-Pester -Configuration $configuration
        foreach ($private:test in $run.Tests) {
            if ($test.Result -eq 'NotRun' -and -not $settings.Discover) { continue }
            $private:names = @($test.ExpandedName)
            for ($private:block = $test.Block; $null -ne $block -and -not $block.IsRoot; $block = $block.Parent) {
                $names = @($block.ExpandedName) + $names
            }

            [pscustomobject]@{
                File = $test.ScriptBlock.File; Line = [int]$test.StartLine; Name = $names -join ' '
                Outcome = if ($settings.Discover) { 'Discovered' } else { $test.Result }
                Duration = $test.Duration; Message = "$($test.ErrorRecord)"
            }
        }

        foreach ($private:container in $run.FailedContainers) {
            [pscustomobject]@{
                File = "$($container.Item)"; Line = 0; Name = [System.IO.Path]::GetFileName("$($container.Item)")
                Outcome = 'DiscoveryFailed'; Duration = [timespan]::Zero; Message = "$($container.ErrorRecord)"
            }
        }
    }
    else {
        Import-Module -Name ([System.IO.Path]::Combine($PSScriptRoot, 'PesterStandIn.psm1'))
        $Host.UI.WriteLine('This is not Pester: it is the stand-in of Tests/Host, for machines where Pester is not installed.')
        $private:skipTag = @{}
        if (-not $ExecutionContext.InvokeCommand.GetCommand('Select-Object', 'Cmdlet')) {
            $skipTag.RequiresPwsh = 'it needs commands that come with pwsh'
        }

        foreach ($private:file in $settings.Files) {
            if (-not $settings.Discover) { $Host.UI.WriteLine("`nRunning $file") }
            $private:options = @{
                Path = $file; NewScope = $newScope; SessionState = $ExecutionContext.SessionState
                Tag = $settings.Tag; ExcludeTag = $settings.ExcludeTag; SkipTag = $skipTag; Discover = $settings.Discover
            }
            Invoke-PesterStandIn @options
        }
    }
)

$private:count = @{}
$private:lines = @(
    foreach ($private:result in $results) {
        $count[$result.Outcome]++
        $private:record = [ordered]@{
            File = [string]$result.File; Line = [int]$result.Line; Name = [string]$result.Name; Outcome = [string]$result.Outcome
            Milliseconds = [double]$result.Duration.TotalMilliseconds; Message = [string]$result.Message
        }
        $private:jsonOptions = [System.Text.Json.JsonSerializerOptions]::Default
        [System.Text.Json.JsonSerializer]::Serialize($record, [System.Collections.IDictionary], $jsonOptions)
    }
)
if ($settings.ResultPath) { [System.IO.File]::WriteAllLines($settings.ResultPath, [string[]]$lines) }
$Host.UI.WriteLine("`n" + (@(foreach ($private:outcome in $count.Keys) { "$($outcome): $($count[$outcome])" }) -join ', '))
if ($count.Failed -or $count.DiscoveryFailed -or $count.Inconclusive) { exit 1 }
exit 0
