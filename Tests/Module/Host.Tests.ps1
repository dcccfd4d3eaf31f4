# The prompt for those who have the SDK alone, by the command of the README. What pwsh does with its arguments is its own.
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSUseDeclaredVarsMoreThanAssignments', '', Justification = 'BeforeAll sets, It reads.')]
param()

BeforeDiscovery {
    $dotnet = Get-Command dotnet -CommandType Application -ErrorAction Ignore
}

Describe 'dotnet run --project Tests/Host' -Skip:(-not $dotnet) {
    BeforeAll {
        $repository = Split-Path (Split-Path $PSScriptRoot)

        # As the README has it, but without a build: who runs this has built before. What would set up a terminal stays out of the output.
        function Invoke-Prompt([string[]] $Argument, [string[]] $Line) {
            Push-Location $TestDrive
            $term = $env:TERM
            $env:TERM = 'dumb'
            try {
                $Line | dotnet run --no-build --project "$repository/Tests/Host" -- -NoLogo -NoProfile @Argument
            } finally {
                $env:TERM = $term
                Pop-Location
            }
        }
    }

    It 'has the module imported, Pester at hand, and the current directory of its caller' {
        $command = 'Get-Module C10kServer | ForEach-Object Path; Get-Command Invoke-Pester | ForEach-Object Source; "$PWD"'
        Invoke-Prompt -Argument '-Command', $command | Should -Be "$repository/C10kServer.psm1", 'Pester', "$TestDrive"
    }

    It 'runs a script with its arguments, and ends with its code' {
        Set-Content "$TestDrive/script.ps1" 'param([string] $Name, [switch] $On) "$Name $On"; exit 7'
        Invoke-Prompt -Argument '-File', "$TestDrive/script.ps1", '-Name', 'a b', '-On' | Should -Be 'a b True'
        $LASTEXITCODE | Should -Be 7
    }

    It 'reads lines, with an editor at hand for a terminal' {
        $lines = Invoke-Prompt -Line 'Get-Command PSConsoleHostReadLine | ForEach-Object Source', 'Start-C10kServer | ForEach-Object State', 'exit 5'
        $lines | Should -Contain 'PSReadLine'
        $lines | Should -Contain 'Running'
        $LASTEXITCODE | Should -Be 5
    }
}
